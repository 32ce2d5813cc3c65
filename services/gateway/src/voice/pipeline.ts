import type { ClientCommand, SessionEvent } from '@voice-fleet/protocol/session';
import type { SessionSink } from '../session/session-deps.ts';
import { SinkFilter } from '../session/sink-filter.ts';
import type { OutboxLoad } from '../ws/outbox.ts';
import type { Pipeline, PipelineOwner } from '../ws/pipeline.ts';
import { Conversation } from './conversation.ts';
import type { VoiceSession } from './listening.ts';
import type { VoiceDeps } from './voice-deps.ts';

/** Speech in; transcript, reply and speech out. Its session comes later: before, what is told goes through as it is. */
export class VoicePipeline extends SinkFilter implements Pipeline {
  readonly #sink: SessionSink;
  readonly #deps: VoiceDeps;
  #conversation: Conversation | undefined;

  constructor(sink: SessionSink, deps: VoiceDeps) {
    super(sink);
    this.#sink = sink;
    this.#deps = deps;
  }

  attach(session: VoiceSession, owner: PipelineOwner): void {
    const turns = owner.chronicle.turns(this.#deps.turns);
    const deps = { ...this.#deps, turns };
    this.#conversation = new Conversation(session, owner, this.#sink, deps);
  }

  get busy(): boolean {
    return this.#conversation?.busy ?? false;
  }

  apply(command: ClientCommand): void {
    this.#conversation?.apply(command);
  }

  event(event: SessionEvent): void {
    (this.#conversation ?? this.#sink).event(event);
  }

  speech(moment: 'started' | 'ended', utteranceId: string, sample: number): void {
    this.#conversation?.speech(moment, utteranceId, sample);
  }

  onTaken(sample: number, workMs: number | undefined): void {
    if (workMs !== undefined) this.#conversation?.engineTook(sample, workMs);
  }

  onLoad(load: OutboxLoad): void {
    this.#conversation?.onLoad(load);
  }

  async stop(): Promise<void> {
    await this.#conversation?.stop();
  }
}
