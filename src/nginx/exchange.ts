import { otherSlot } from '../event.js';
import { canonical } from './address.js';
import type { Edit } from './edit.js';
import type { Reference, SlotAddresses } from './references.js';
import { binary, bytesOf, fromUtf8, rawIndex, spell } from './spelling.js';
import type { ConfigFile } from './tree.js';

/** What changes in one file. Lines as they are before and after: no edit adds or takes one. */
export interface FileEdits {
  readonly file: ConfigFile;
  readonly edits: readonly Edit[];
  readonly lines: readonly number[];
}

/**
 * The edits after which every reference names the other slot; each real file
 * once, however many paths lead to it. The user's spelling is kept where it can
 * be (Reference.keeps), or handed to the other slot where an upstream names
 * both; done to the result again this gives the first bytes back. Only a lone
 * spelling with nothing to keep is replaced by our own, for good; to undo that
 * exactly, use inverseEdits.
 */
export function exchangeEdits(
  references: readonly Reference[],
  addresses: SlotAddresses,
): readonly FileEdits[] {
  const distinct = new Map<string, Reference>();
  for (const reference of references) {
    const key = `${String(reference.token.offset)} ${reference.file.real}`;
    if (!distinct.has(key)) distinct.set(key, reference);
  }
  const all = [...distinct.values()];
  const files = new Map<string, { file: ConfigFile; edits: Edit[]; lines: Set<number> }>();
  for (const reference of all) {
    const { file } = reference;
    const entry = files.get(file.real) ?? { file, edits: [], lines: new Set<number>() };
    files.set(file.real, entry);
    const partner = partnerOf(reference, all);
    entry.edits.push(partner === null ? rename(reference, addresses) : take(reference, partner));
    entry.lines.add(reference.place.line);
  }
  return [...files.values()].map(({ file, edits, lines }) => ({
    file,
    edits: edits.sort((a, b) => a.offset - b.offset),
    lines: [...lines].sort((a, b) => a - b),
  }));
}

/** The reference to trade words with: the only one to the other slot in the same upstream, where one of the two has nothing to keep. */
function partnerOf(reference: Reference, all: readonly Reference[]): Reference | null {
  if (reference.upstream === null) return null;
  const here = all.filter((each) => each.upstream === reference.upstream);
  const [first, second] = here;
  if (here.length !== 2 || first === undefined || second === undefined) return null;
  if (first.slot === second.slot || (first.keeps !== null && second.keeps !== null)) return null;
  return first === reference ? second : first;
}

/** The partner's word as it stands, quotes and all. */
function take(reference: Reference, partner: Reference): Edit {
  const { offset, length } = partner.token;
  return { ...span(reference), replacement: partner.file.bytes.slice(offset, offset + length) };
}

function rename({ slot, file, token, keeps }: Reference, addresses: SlotAddresses): Edit {
  const { index, text } = keeps ?? { index: 0, text: fromUtf8(canonical(addresses[otherSlot(slot)])) };
  const quotes = token.quote.length;
  const content = token.offset + quotes;
  const length = token.length - 2 * quotes;
  const raw = binary(file.bytes.subarray(content, content + length));
  const from = rawIndex(raw, index);
  const spelled = spell(text, token.quote, index === 0);
  if (spelled !== null) {
    return { offset: content + from, length: length - from, replacement: bytesOf(spelled) };
  }
  const quoted = spell(token.value.slice(0, index) + text, '"', true) ?? '';
  return { offset: token.offset, length: token.length, replacement: bytesOf(`"${quoted}"`) };
}

function span({ token }: Reference): { readonly offset: number; readonly length: number } {
  return { offset: token.offset, length: token.length };
}
