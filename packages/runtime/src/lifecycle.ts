import { ConfigError } from './env.ts';

/** A started service. `close` is called once and must settle. */
export interface Running {
  close(): Promise<void>;
}

/** `close` that takes longer than `closeTimeoutMs` ends the process anyway, with exit code 1. */
export interface RunningService extends Running {
  readonly closeTimeoutMs: number;
}

interface Options {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  /** What is written of faults goes through this: their messages may quote keys and words. */
  readonly redact?: (line: string) => string;
}

function report({ name, redact = String }: Options, fields: Record<string, unknown>): void {
  const line = {
    ts: new Date().toISOString(),
    level: 'error',
    service: name,
    sid: null,
    ...fields,
  };
  process.stderr.write(`${redact(JSON.stringify(line))}\n`);
}

/**
 * Runs a service until SIGTERM or SIGINT, then closes it in bounded time. The only place that ends the process.
 * With VF_EXIT_WITH_PARENT=1 the end of stdin counts as SIGTERM, so that a killed launcher leaves nothing behind.
 */
export async function runService(
  options: Options,
  start: () => Promise<RunningService>,
): Promise<void> {
  let running: RunningService | undefined;
  let closing = false;
  const shutDown = (cause: string, exitCode: number): void => {
    if (closing) return;
    closing = true;
    // Nothing to close yet: what was begun goes with the process.
    if (running === undefined) process.exit(exitCode);
    setTimeout(() => {
      report(options, { event: 'close_timed_out', cause });
      process.exit(1);
    }, running.closeTimeoutMs).unref();
    running.close().then(
      () => process.exit(exitCode),
      (error: unknown) => {
        report(options, { event: 'close_failed', message: String(error) });
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => shutDown('SIGTERM', 0));
  process.on('SIGINT', () => shutDown('SIGINT', 0));
  const onFault = (kind: string) => (error: unknown) => {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    report(options, { event: kind, message });
    shutDown(kind, 1);
  };
  process.on('uncaughtException', onFault('uncaught_exception'));
  process.on('unhandledRejection', onFault('unhandled_rejection'));
  if (options.env['VF_EXIT_WITH_PARENT'] === '1') {
    const onGone = (): void => shutDown('parent gone', 0);
    process.stdin.on('end', onGone).on('error', onGone).resume();
  }

  try {
    running = await start();
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const fault of error.faults) report(options, { event: 'config_invalid', ...fault });
    } else {
      const message = error instanceof Error ? error.message : String(error);
      report(options, { event: 'start_failed', message });
    }
    process.exit(1);
  }
}
