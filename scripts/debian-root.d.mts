export function debianRoot(
  say: (line: string) => void,
): Promise<
  { readonly root: string; readonly why?: undefined } | { readonly root?: undefined; readonly why: string }
>;
export function boot(folder: string, root: string, name: string, more: readonly string[]): string[];
