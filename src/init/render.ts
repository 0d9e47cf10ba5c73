/**
 * Fills templates. PURE. `{{name}}` stands for a value, which goes in as it is: quoting is
 * the caller's, who knows the language. A line that holds nothing but one placeholder takes
 * a value of many lines, each indented like the placeholder, and is left out when the value
 * is empty. nginx, FPM, YAML, systemd and shell all leave `{{` alone.
 */
import { fail, ok, type Result } from '../event.js';

/** `bug` when the template asks for a name that has no value: template and caller belong to us both. */
export function render(template: string, values: Readonly<Record<string, string>>): Result<string> {
  const unknown: string[] = [];
  const valueOf = (name: string): string => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) unknown.push(name);
    return value ?? '';
  };
  const lines = template.split('\n').flatMap((line) => {
    const whole = /^(\s*)\{\{([a-z_]+)\}\}\s*$/.exec(line);
    if (whole === null) return [line.replace(/\{\{([a-z_]+)\}\}/g, (_, name: string) => valueOf(name))];
    const value = valueOf(whole[2] ?? '');
    if (value === '') return [];
    return value.split('\n').map((part) => (part === '' ? '' : `${whole[1] ?? ''}${part}`));
  });
  return unknown.length > 0
    ? fail({ reason: 'bug', detail: `a template asks for ${unknown.join(', ')}` })
    : ok(lines.join('\n'));
}
