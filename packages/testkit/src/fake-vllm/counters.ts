/** What a fake server did so far, for tests. Unlike its metrics page these outlive a crash of the engine. */
export interface Counters {
  /** Accepted ones. */
  connections: number;
  /** Upgrades that were not accepted, for any reason. */
  refused: number;
  /** Good appends; refused ones are errors. */
  appends: number;
  utterancesBegun: number;
  /** Starts while an utterance was running, which vLLM ignores. */
  startsIgnored: number;
  utterancesDone: number;
  /** Ended by the end of their connection. */
  utterancesAborted: number;
  /** Ended by a processing_error. */
  utterancesFailed: number;
  deltas: number;
  /** `error` events of any code. */
  errors: number;
}

export function newCounters(): Counters {
  return {
    connections: 0,
    refused: 0,
    appends: 0,
    utterancesBegun: 0,
    startsIgnored: 0,
    utterancesDone: 0,
    utterancesAborted: 0,
    utterancesFailed: 0,
    deltas: 0,
    errors: 0,
  };
}
