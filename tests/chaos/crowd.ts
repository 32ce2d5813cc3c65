import { ResumableYapClient } from '@voice-fleet/client/resumable-yap-client';
import { YapClient } from '@voice-fleet/client/yap-client';
import { until } from '../support/until.ts';
import { API_KEY, type ChaosFleet } from './chaos-fleet.ts';
import { Speaker, type SpeakingClient } from './speaker.ts';

const ADMISSION_MS = 20_000;
const SPREAD_MS = 400;

/** How a speaker gets its session. */
export interface Dialer {
  readonly dial: (speaker: Speaker) => Promise<SpeakingClient>;
  /** Whether its sessions are told what was taken of their audio. */
  readonly hasAcks: boolean;
}

export interface CrowdOptions {
  readonly speakers: number;
  /** Absent: each speaks one utterance until it is stopped. */
  readonly wordsPerUtterance?: number;
  /** Default: plain clients, spread over the gateways. */
  readonly dialer?: Dialer;
}

/** People who speak at the same time, each in a session of its own, spread over the gateways. */
export class Crowd {
  readonly speakers: readonly Speaker[];

  private constructor(speakers: readonly Speaker[]) {
    this.speakers = speakers;
  }

  /** Settles when each of them has been heard; rejects when one has failed before. */
  static async start(fleet: ChaosFleet, options: CrowdOptions): Promise<Crowd> {
    const { speakers: count, wordsPerUtterance, dialer = plain(fleet.urls) } = options;
    const speakers = Array.from(
      { length: count },
      (_, index) =>
        new Speaker({
          index,
          speakers: count,
          awaitsAcks: dialer.hasAcks,
          ...(wordsPerUtterance === undefined ? {} : { wordsPerUtterance }),
        }),
    );
    for (const speaker of speakers) {
      speaker.start(dialer.dial);
      // People do not breathe together.
      await new Promise((resolve) => setTimeout(resolve, SPREAD_MS / count));
    }
    const crowd = new Crowd(speakers);
    const failure = (): string | undefined => speakers.flatMap(({ failures }) => failures)[0];
    try {
      await until(
        () => failure() !== undefined || speakers.every((one) => heardWords(one) > 0),
        'every speaker is heard',
        ADMISSION_MS,
      );
      if (failure() !== undefined) throw new Error(`a speaker did not get in: ${failure()}`);
      return crowd;
    } catch (error) {
      await crowd.stop();
      throw error;
    }
  }

  /** Those whose sessions a worker holds. */
  async on(fleet: ChaosFleet, worker: number): Promise<Speaker[]> {
    const sessions = (await fleet.sessionsByWorker()).get(worker) ?? [];
    return this.speakers.filter(({ client }) => sessions.includes(client?.sessionId ?? ''));
  }

  /** Settles when each of these speakers has got a word that was said after `sinceMs`. */
  async untilHeard(
    speakers: readonly Speaker[],
    sinceMs: number,
    timeoutMs: number,
  ): Promise<void> {
    const isHeard = ({ failures, utterances }: Speaker): boolean =>
      failures.length > 0 ||
      utterances.some(({ said, heard }) => {
        const last = heard.at(-1)?.text.trim().split(/\s+/).at(-1);
        return said.some(({ word, atMs }) => atMs > sinceMs && word === last);
      });
    await until(() => speakers.every(isHeard), 'words come again', timeoutMs);
  }

  /** How often sessions were taken up again over another connection, in all. */
  get resumes(): number {
    return this.speakers.reduce((sum, { client }) => sum + (client?.continuity?.resumes ?? 0), 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.speakers.map((speaker) => speaker.stop()));
  }
}

function heardWords({ utterances }: Speaker): number {
  return utterances.reduce((sum, { heard }) => sum + heard.length, 0);
}

/** Clients that know nothing of resuming: the connection is the session. */
export function plain(urls: readonly URL[]): Dialer {
  return {
    hasAcks: false,
    dial: ({ index, onFrame }) => {
      const url = urls[index % urls.length] as URL;
      return YapClient.connect({ url, apiKey: API_KEY, onFrame });
    },
  };
}

/** Clients that take their session up again on any gateway. `urls`: where they find the gateways. */
export function resumable(urls: readonly URL[]): Dialer {
  return {
    hasAcks: true,
    dial: ({ index, onFrame }) => {
      // Each begins with another gateway.
      const at = index % urls.length;
      const inTurn = [...urls.slice(at), ...urls.slice(0, at)];
      return ResumableYapClient.connect({ urls: inTurn, apiKey: API_KEY, onFrame });
    },
  };
}
