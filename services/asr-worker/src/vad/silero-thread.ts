import { parentPort } from 'node:worker_threads';
import { buffersOf, type FromSilero, type ToSilero } from './silero-messages.ts';
import { SileroModel } from './silero-model.ts';

/** The thread in which the network runs: what fails here ends it, and its owner decides what then. */
async function serve(): Promise<void> {
  const model = await SileroModel.load();
  const tell = (message: FromSilero, transfer: ArrayBuffer[] = []): void =>
    parentPort?.postMessage(message, transfer);
  const judge = async (message: ToSilero): Promise<void> => {
    if (message.kind === 'forget') return model.forget(message.stream);
    const { count, streams, samples, voices } = message;
    await model.judge(count, streams, samples, voices);
    tell(message, buffersOf(message));
  };
  // A stream may be forgotten while one of its steps is judged: in order, so that nothing of it stays.
  let last = Promise.resolve();
  parentPort?.on('message', (message: ToSilero) => {
    last = last.then(() => judge(message));
  });
  tell({ kind: 'ready' });
}

await serve();
