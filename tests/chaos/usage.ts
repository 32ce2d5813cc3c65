import { z } from 'zod';
import { API_KEY, type ChaosFleet } from './chaos-fleet.ts';

const UsageReply = z.looseObject({
  rows: z.array(z.looseObject({ audio_samples: z.number(), sessions: z.number() })),
});

/** What the tenant of the clients has been billed for, today and, around midnight, the day before. */
export async function usage(fleet: ChaosFleet): Promise<{ samples: number; sessions: number }> {
  const [gateway] = fleet.urls;
  const day = (agoMs: number): string => new Date(Date.now() - agoMs).toISOString().slice(0, 10);
  const url = `http://${gateway?.host}/v1/usage?from=${day(86_400_000)}&to=${day(0)}`;
  const response = await fetch(url, { headers: { 'X-API-Key': API_KEY } });
  if (!response.ok) throw new Error(`usage answers ${response.status}`);
  const { rows } = UsageReply.parse(await response.json());
  return {
    samples: rows.reduce((sum, row) => sum + row.audio_samples, 0),
    sessions: rows.reduce((sum, row) => sum + row.sessions, 0),
  };
}
