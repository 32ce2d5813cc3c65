import type { VllmErrorCode, VllmUsage } from '@voice-fleet/protocol/vllm-realtime';
import { type ClientEvent, decodeClientEvent } from './client-event.ts';
import type { Counters } from './counters.ts';
import type { EngineLoop } from './engine.ts';
import { AT_DONE, type CloseCode, type UtteranceFault } from './faults.ts';
import type { FakeVllmSettings, UtteranceEnd } from './options.ts';
import { createdText, deltaText, doneText, errorText } from './server-event.ts';
import { Utterance, type UtteranceOwner } from './utterance.ts';

/** Appends and end marks that may wait; vLLM itself has no limit. */
const MAX_QUEUED = 100_000;

/** The way back to the client. */
export interface SessionPort {
  send(text: string): void;
  /** 1006: without a closing handshake. */
  close(code: CloseCode): void;
  /** Nothing is sent or answered any more. */
  mute(): void;
}

export interface SessionDeps {
  readonly id: string;
  readonly settings: FakeVllmSettings;
  readonly engine: EngineLoop;
  readonly counters: Counters;
  readonly port: SessionPort;
  readonly claimFaults: () => UtteranceFault[];
  /** Every model name is wrong. */
  readonly refusesModels: boolean;
  /** What the upgrade brought, for utterances that bring none of their own. */
  readonly traceparent: string | undefined;
}

/**
 * One client's protocol state, as vLLM keeps it: a queue of audio and end marks that outlives utterances, and at most one
 * generation that reads from it. Most of the traps of the protocol follow from that queue.
 */
export class FakeSession implements UtteranceOwner {
  readonly id: string;
  readonly #deps: SessionDeps;
  /** Audio that no generation has read; `null` ends an utterance. */
  #queue: (Buffer | null)[] = [];
  #queuedBytes = 0;
  #isValidated = false;
  #utterance: Utterance | undefined;
  #faults: UtteranceFault[] = [];
  #text = '';
  #onOver: (end: UtteranceEnd) => void = () => undefined;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.id = deps.id;
  }

  /** `finalising`: the end was read, done was not sent. */
  get state(): 'idle' | 'started' | 'finalising' {
    if (this.#utterance === undefined) return 'idle';
    return this.#utterance.isComplete ? 'finalising' : 'started';
  }

  /** A good session.update was seen. */
  get isValidated(): boolean {
    return this.#isValidated;
  }

  /** Bytes that no utterance has read. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Deltas of the present utterance. */
  get deltas(): number {
    return this.#utterance?.deltas ?? 0;
  }

  /** Samples that the present utterance took. */
  get samples(): number {
    return this.#utterance?.samples ?? 0;
  }

  greet(): void {
    const createdAtS = Math.floor(this.#deps.settings.clock.wallNow() / 1000);
    this.#deps.port.send(createdText(this.id, createdAtS));
  }

  /** One text frame. */
  receive(data: Buffer): void {
    const event = decodeClientEvent(data, this.#deps.settings.maxClipSamples);
    switch (event.kind) {
      case 'audio':
        return this.#onAudio(event.pcm);
      case 'model':
        return this.#onModel(event.model);
      case 'commit':
        return this.#onCommit(event);
      case 'refused':
        return this.#refuse(event.code, event.message);
    }
  }

  /** The socket is gone: what runs is freed at once. Safe to call again. */
  abort(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#utterance === undefined) return;
    this.#deps.counters.utterancesAborted += 1;
    this.#leave('aborted');
  }

  /** The live utterance gets one more fault. */
  strike(fault: UtteranceFault): void {
    if (this.#utterance) this.#faults.push(fault);
  }

  onToken(text: string): void {
    const utterance = this.#utterance;
    if (utterance === undefined) return;
    let delta = text;
    if (this.#faults.length > 0) {
      for (const fault of this.#due(utterance.deltas)) {
        if (fault.kind === 'blank') delta = '';
        else if (!this.#apply(fault, utterance)) return;
      }
    }
    this.#text += delta;
    this.#deps.counters.deltas += 1;
    this.#deps.port.send(deltaText(delta));
  }

  onEnd(): void {
    const utterance = this.#utterance;
    if (utterance === undefined) return;
    for (const fault of this.#due(utterance.deltas, true)) {
      if (!this.#apply(fault, utterance)) return;
    }
    if (this.#fault('no_done')) return utterance.starve();
    const junk = utterance.samples === 0 ? this.#fault('junk_delta') : undefined;
    let usage: VllmUsage | undefined = utterance.usage;
    if (junk) {
      this.#text = junk.text;
      this.#deps.port.send(deltaText(junk.text));
      // The request that ends a stream has one token.
      usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    }
    const told = this.#fault('usage');
    const done = doneText(this.#text, told ? told.usage : usage);
    const count = this.#fault('double_done') ? 2 : 1;
    for (let sent = 0; sent < count; sent += 1) this.#deps.port.send(done);
    this.#deps.counters.utterancesDone += 1;
    this.#leave('done');
    // Also what was meant for the next utterance.
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  onFailure(message: string): void {
    this.#deps.counters.utterancesFailed += 1;
    this.#leave('failed');
    // The queue stays as it is: its audio comes first in the next utterance.
    this.#refuse('processing_error', message);
  }

  #onAudio(pcm: Buffer): void {
    const { counters, settings, engine, port } = this.#deps;
    counters.appends += 1;
    const utterance = this.#utterance;
    const waiting = this.#queuedBytes + (utterance?.backlogBytes ?? 0) + pcm.length;
    // vLLM would take it, until the system kills it.
    if (waiting > settings.maxBacklogBytes) return port.close(1006);
    if (utterance === undefined || utterance.isComplete) {
      this.#queuedBytes += pcm.length;
      return this.#enqueue(pcm);
    }
    utterance.push(pcm);
    engine.wake(utterance);
  }

  #onModel(model: unknown): void {
    if (model === undefined || model === null)
      return this.#refuse('invalid_event', 'Missing required field: model');
    if (!this.#isServed(model))
      return this.#refuse('model_not_found', `The model \`${String(model)}\` does not exist.`);
    this.#isValidated = true;
  }

  /** A name that Python takes for false, such as the empty one, is right. */
  #isServed(model: unknown): boolean {
    const { models, skipModelNameValidation } = this.#deps.settings;
    if (this.#deps.refusesModels) return false;
    if (skipModelNameValidation || !model) return true;
    return typeof model === 'string' && models.includes(model);
  }

  #onCommit({ final, fault, traceparent }: Extract<ClientEvent, { kind: 'commit' }>): void {
    if (!this.#isValidated)
      return this.#refuse(
        'model_not_validated',
        'Model not validated. Make sure to validate the model by sending a session.update event.',
      );
    if (fault !== undefined) return this.#refuse('processing_error', fault);
    const utterance = this.#utterance;
    if (!final) return this.#start(traceparent);
    if (utterance === undefined || utterance.isComplete) return this.#enqueue(null);
    utterance.complete();
    this.#deps.engine.wake(utterance);
  }

  #enqueue(item: Buffer | null): void {
    if (this.#queue.length >= MAX_QUEUED) return this.#deps.port.close(1006);
    this.#queue.push(item);
  }

  #start(traceparent = this.#deps.traceparent): void {
    const { settings, engine, counters, claimFaults } = this.#deps;
    // vLLM logs a warning and does nothing; the client is not told.
    if (this.#utterance) {
      counters.startsIgnored += 1;
      return;
    }
    const utterance = new Utterance({
      owner: this,
      hearing: settings.hear(),
      delayFrames: settings.delayFrames,
      iterationTimeoutMs: settings.iterationTimeoutMs,
      nowMs: settings.clock.now(),
    });
    this.#utterance = utterance;
    this.#faults = claimFaults();
    this.#text = '';
    this.#onOver = settings.onUtterance(traceparent);
    counters.utterancesBegun += 1;
    this.#readQueue(utterance);
    engine.begin(utterance);
  }

  /** Up to the first end mark, which may be a stray one from before. */
  #readQueue(utterance: Utterance): void {
    const end = this.#queue.indexOf(null);
    const read = this.#queue.splice(0, end < 0 ? this.#queue.length : end + 1);
    for (const pcm of read) {
      if (pcm === null) utterance.complete();
      else {
        this.#queuedBytes -= pcm.length;
        utterance.push(pcm);
      }
    }
  }

  #leave(end: UtteranceEnd): void {
    const utterance = this.#utterance;
    this.#utterance = undefined;
    this.#onOver(end);
    if (utterance) this.#deps.engine.remove(utterance);
  }

  /** Faults whose place has come; all but blanks strike once. */
  #due(deltas: number, isEnd = false): UtteranceFault[] {
    const isDue = (fault: UtteranceFault): boolean =>
      'afterDeltas' in fault &&
      (fault.afterDeltas <= deltas || (isEnd && fault.afterDeltas === AT_DONE));
    const due = this.#faults.filter(isDue);
    this.#faults = this.#faults.filter((fault) => fault.kind === 'blank' || !isDue(fault));
    return due;
  }

  /** Whether the utterance goes on after it. */
  #apply(fault: UtteranceFault, utterance: Utterance): boolean {
    const { port, engine } = this.#deps;
    switch (fault.kind) {
      case 'frame':
        port.send(fault.text);
        return true;
      case 'stall':
        utterance.starve();
        return false;
      case 'processing_error':
        this.onFailure(fault.message ?? 'EngineCore encountered an issue.');
        return false;
      case 'close':
        port.close(fault.code);
        return false;
      case 'half_open':
        port.mute();
        return false;
      case 'crash':
        engine.crash();
        return false;
      case 'no_done':
      case 'double_done':
      case 'blank':
      case 'junk_delta':
      case 'usage':
        return true;
    }
  }

  #fault<K extends UtteranceFault['kind']>(
    kind: K,
  ): Extract<UtteranceFault, { kind: K }> | undefined {
    return this.#faults.find(
      (fault): fault is Extract<UtteranceFault, { kind: K }> => fault.kind === kind,
    );
  }

  #refuse(code: VllmErrorCode, message: string): void {
    this.#deps.counters.errors += 1;
    this.#deps.port.send(errorText(code, message));
  }
}
