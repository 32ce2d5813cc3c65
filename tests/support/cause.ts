/** What must make an alert on a cause fire, and what must not. */
export interface Cause {
  readonly alert: string;
  /** Of what fires. */
  readonly labels: Readonly<Record<string, string>>;
  /** What makes it fire until minute 40, a value a minute, and is over after that. */
  readonly fires: Readonly<Record<string, string>>;
  /** What comes near it, for as long. */
  readonly quiet: Readonly<Record<string, string>>;
  /** Minutes in which it must have fired, and after which of minute 40 it must be over. Default: 30 and 100. */
  readonly firesAt?: number;
  readonly overAt?: number;
  /** Without data it fires: that is its subject. */
  readonly absent?: true;
}
