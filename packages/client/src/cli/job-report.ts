import type { JobView } from '@voice-fleet/protocol/jobs';
import type { CliIo } from './flags.ts';
import type { Row } from './report.ts';

/** One line that is overwritten on a terminal, and one for each change elsewhere. */
export class Progress {
  readonly #io: CliIo;
  #last = '';

  constructor(io: CliIo) {
    this.#io = io;
  }

  show({ id, state, progress }: JobView): void {
    const text = `${id} ${state} ${Math.floor(progress * 100)} %`;
    if (text === this.#last) return;
    const { isTty, stderr } = this.#io;
    stderr(isTty ? `\r${text.padEnd(this.#last.length)}` : `${text}\n`);
    this.#last = text;
  }

  end(): void {
    if (this.#io.isTty && this.#last !== '') this.#io.stderr('\n');
  }
}

/** One job, a fact to a line. */
export function jobRows(job: JobView): Row[] {
  const time = (atMs: number | null): string => (atMs === null ? '–' : when(atMs));
  const all: Row[] = [
    ['Job', job.id],
    ['State', `${job.state}, ${Math.floor(job.progress * 100)} %`],
    ['Priority', job.priority],
    ['Created', time(job.created_at_ms)],
    ['Started', time(job.started_at_ms)],
    ['Ended', time(job.ended_at_ms)],
    ['Audio', job.duration_s === null ? '–' : `${job.duration_s.toFixed(1)} s`],
    ['Attempts', String(job.attempts)],
  ];
  for (const [name, value] of Object.entries(job.metadata)) all.push([`Meta ${name}`, value]);
  if (job.error) all.push(['Error', `${job.error.code}: ${job.error.message}`]);
  return all;
}

/** Jobs, one to a line. */
export function jobTable(all: readonly JobView[]): string {
  const head = ['ID', 'STATE', 'DONE', 'PRIORITY', 'CREATED', 'AUDIO'];
  const cells = all.map((job) => [
    job.id,
    job.state,
    `${Math.floor(job.progress * 100)} %`,
    job.priority,
    when(job.created_at_ms),
    job.duration_s === null ? '–' : `${job.duration_s.toFixed(1)} s`,
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const row = (texts: readonly string[]): string =>
    `${texts.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd();
  return [head, ...cells].map((texts) => `${row(texts)}\n`).join('');
}

function when(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
