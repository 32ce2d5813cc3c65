import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ConversationItem } from '@voice-fleet/protocol/session';
import type { TurnMessage } from '@voice-fleet/protocol/turn';
import { MAX_TEXT_CHARS } from '../voice/replies.ts';

/** Of longer conversations the oldest items are forgotten. */
const MAX_ITEMS = 256;
/** What a model is asked with, beside what is to be answered. */
const MAX_HISTORY = 32;
/** Stands for what is before the first item. */
const ROOT = 'root';
/** Where all of a reply was not spoken, its words are taken to last so long a character. */
const CHAR_MS = 65;

interface Kept {
  item: ConversationItem;
  /** What of it was spoken. */
  spokenMs: number;
}

/** What was said in one conversation, in order. */
export class ConversationItems {
  #kept: Kept[] = [];

  get lastId(): string | undefined {
    return this.#kept.at(-1)?.item.id;
  }

  /**
   * Puts an item behind the one with `previousId` (`root`: before all), or behind all. Returns the id of the one that it
   * follows. Throws `item_not_found`, or `invalid_message` when its id is taken.
   */
  add(item: ConversationItem, previousId?: string): string | undefined {
    if (this.#kept.some((kept) => kept.item.id === item.id))
      throw new VoiceError('invalid_message', {
        message: 'An item with this id is there already.',
      });
    const at = previousId === undefined ? this.#kept.length : this.#placeBehind(previousId);
    const follows = this.#kept[at - 1]?.item.id;
    const text = item.text.slice(0, MAX_TEXT_CHARS);
    this.#kept.splice(at, 0, { item: { ...item, text }, spokenMs: 0 });
    if (this.#kept.length > MAX_ITEMS) this.#kept.shift();
    return follows;
  }

  /** Throws `item_not_found`. */
  get(id: string): ConversationItem {
    return this.#of(id).item;
  }

  /** Throws `item_not_found`. */
  delete(id: string): void {
    this.#kept.splice(this.#indexOf(id), 1);
  }

  /** What became of an item; nothing if it was deleted meanwhile. */
  settle(id: string, text: string, complete: boolean, spokenMs = 0): void {
    const kept = this.#kept.find(({ item }) => item.id === id);
    if (kept === undefined) return;
    kept.item = { ...kept.item, text: text.slice(0, MAX_TEXT_CHARS), complete };
    kept.spokenMs = spokenMs;
  }

  /** Only the first `audioMs` of a spoken item were heard: as many of its words are kept as that part of it holds. Throws. */
  truncate(id: string, audioMs: number): void {
    const kept = this.#of(id);
    const { role, text, complete } = kept.item;
    if (role !== 'assistant')
      throw new VoiceError('invalid_message', { message: 'Only what was replied can be cut.' });
    const wholeMs = complete ? kept.spokenMs : Math.max(kept.spokenMs, text.length * CHAR_MS);
    if (audioMs >= wholeMs) return;
    const words = text.match(/\s*\S+/g) ?? [];
    const heard = Math.floor(words.length * (audioMs / wholeMs));
    kept.item = { ...kept.item, text: words.slice(0, heard).join(''), complete: false };
    kept.spokenMs = audioMs;
  }

  /** What was said last, if a speaker did, and what was said before that. */
  question(): { readonly text: string; readonly history: TurnMessage[] } {
    const said = this.#kept.filter(({ item }) => item.text.trim() !== '');
    const last = said.at(-1)?.item;
    const text = last?.role === 'user' ? last.text : '';
    if (text !== '') said.pop();
    const history: TurnMessage[] = [];
    let room = MAX_TEXT_CHARS - text.length;
    for (const { item } of said.slice(-MAX_HISTORY).reverse()) {
      room -= item.text.length;
      if (room < 0) break;
      history.unshift({ role: item.role, content: item.text });
    }
    return { text, history };
  }

  #placeBehind(id: string): number {
    return id === ROOT ? 0 : this.#indexOf(id) + 1;
  }

  #of(id: string): Kept {
    const kept = this.#kept[this.#indexOf(id)];
    if (kept === undefined) throw new VoiceError('item_not_found');
    return kept;
  }

  #indexOf(id: string): number {
    const index = this.#kept.findIndex(({ item }) => item.id === id);
    if (index < 0) throw new VoiceError('item_not_found');
    return index;
  }
}
