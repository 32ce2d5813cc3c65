/** One session as the upstream process sees it; both calls do nothing before the session is ready for them. */
export interface UpstreamSession {
  sendWord(): void;
  sendAck(): void;
}

export interface Upstream {
  readonly port: number;
  /** Grows with every session that connects. */
  readonly sessions: readonly UpstreamSession[];
}
