import { type ChildMessage, ChildRequest } from '../messages.ts';

/** Answers the benchmark's requests; ends this process when the benchmark is gone. */
export function serveParent(answer: (request: ChildRequest) => ChildMessage): void {
  process.on('message', (message) => tell(answer(ChildRequest.parse(message))));
  process.on('disconnect', () => process.exit(0));
  // By exit and not by the signal, so that a CPU profile gets written.
  process.on('SIGTERM', () => process.exit(0));
  const onFault = (error: unknown): void => fail(String(error));
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
}

export function tell(message: ChildMessage): void {
  process.send?.(message);
}

/** Tells the benchmark why, then ends this process. */
export function fail(message: string): void {
  const leave = (): never => process.exit(1);
  if (process.send) process.send({ kind: 'failed', message } satisfies ChildMessage, leave);
  else leave();
}
