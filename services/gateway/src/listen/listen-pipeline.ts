import { randomBytes } from 'node:crypto';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { ClientCommand, ListenOptions, SessionEvent } from '@voice-fleet/protocol/session';
import type { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import { SinkFilter } from '../session/sink-filter.ts';
import type { Pipeline } from '../ws/pipeline.ts';

type ListenSession = Pick<Session, 'apply' | 'perform' | 'busy' | 'recordedSamples'>;

/** Audio without end, cut into utterances. */
export class ListenPipeline extends SinkFilter implements Pipeline {
  readonly #sink: SessionSink;
  #session!: ListenSession;
  #options: ListenOptions = {};
  #utteranceId: string | undefined;
  #words: LinkWord[] = [];

  constructor(sink: SessionSink) {
    super(sink);
    this.#sink = sink;
  }

  attach(session: ListenSession): void {
    this.#session = session;
  }

  get busy(): boolean {
    return this.#session.busy;
  }

  apply(command: ClientCommand): void {
    switch (command.kind) {
      case 'several':
        for (const one of command.commands) this.apply(one);
        return;
      case 'listen':
        this.#options = command.options;
        return;
      case 'audio':
        if (this.#utteranceId === undefined) this.#open();
        return this.#session.apply(command);
      default:
        return this.#session.apply(command);
    }
  }

  event(event: SessionEvent): void {
    this.#sink.event(event);
  }

  heard(_utteranceId: string, words: readonly LinkWord[]): void {
    this.#words.push(...words);
  }

  onLoad(): void {}

  async stop(): Promise<void> {}

  #open(): void {
    this.#utteranceId = `utt_${randomBytes(12).toString('hex')}`;
    const { endpointing } = this.#options;
    const silenceMs = endpointing?.silenceMs;
    this.#session.perform({
      kind: 'start',
      utteranceId: this.#utteranceId,
      ...(silenceMs !== undefined && { silenceMs }),
    });
  }
}
