/** What came next, and of which source. `done` and `failed` are the last of theirs. */
export type Next<From extends string, T> =
  | { readonly from: From; readonly kind: 'value'; readonly value: T }
  | { readonly from: From; readonly kind: 'done' }
  | { readonly from: From; readonly kind: 'failed'; readonly error: unknown };

/**
 * Values of two sources in the order they come, those of `sooner` first where both are there. Each is asked for one value at a
 * time, and only once the last was taken. Left early, it leaves both without waiting for them.
 */
export async function* merged<A extends string, T, B extends string, U>(
  sooner: readonly [A, AsyncIterable<T>],
  later: readonly [B, AsyncIterable<U>],
): AsyncGenerator<Next<A, T> | Next<B, U>> {
  const [from, values] = sooner;
  const [otherFrom, otherValues] = later;
  const one = values[Symbol.asyncIterator]();
  const other = otherValues[Symbol.asyncIterator]();
  let next: Promise<Next<A, T>> = pull(from, one);
  let otherNext: Promise<Next<B, U>> = pull(otherFrom, other);
  try {
    for (let open = 2; open > 0; ) {
      const came = await Promise.race<Next<A, T> | Next<B, U>>([next, otherNext]);
      yield came;
      const isOver = came.kind !== 'value';
      if (isOver) open -= 1;
      if (came.from === from) next = isOver ? never() : pull(from, one);
      else otherNext = isOver ? never() : pull(otherFrom, other);
    }
  } finally {
    for (const iterator of [one, other]) iterator.return?.().catch(() => undefined);
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

async function pull<From extends string, T>(
  from: From,
  iterator: AsyncIterator<T>,
): Promise<Next<From, T>> {
  try {
    const step = await iterator.next();
    return step.done ? { from, kind: 'done' } : { from, kind: 'value', value: step.value };
  } catch (error) {
    return { from, kind: 'failed', error };
  }
}
