import type { Row } from '../dashboard.ts';
import { by, own, perSecond, sum } from '../query.ts';

/** What Node tells of the processes of one service. */
export function processRow(service: string): Row {
  // Metrics of Node have no label of ours: an instance is known by its build.
  const only = (expr: string): string =>
    `${expr} and on (instance) voice_build_info{service="${service}"}`;
  return {
    title: 'Processes',
    panels: [
      {
        title: 'Event loop lag, p99',
        description: 'How late a process comes to its work. Above 0.1 s audio and words wait.',
        unit: 's',
        queries: by('instance', only(own('nodejs_eventloop_lag_p99_seconds'))),
      },
      {
        title: 'Processor',
        description: 'Cores that a process uses. Its JavaScript can use one.',
        unit: 'short',
        queries: by('instance', only(perSecond(own('process_cpu_seconds_total'), 'instance'))),
      },
      {
        title: 'Memory',
        description: 'Resident memory. A line that only grows is a leak.',
        unit: 'bytes',
        queries: by('instance', only(own('process_resident_memory_bytes'))),
      },
      {
        title: 'Garbage collection',
        description: 'Part of the time that goes into it. Above a tenth the heap is too small.',
        unit: 'percentunit',
        queries: by('instance', only(perSecond(own('nodejs_gc_duration_seconds_sum'), 'instance'))),
      },
      {
        title: 'Open files',
        description: 'Files and sockets of a process.',
        unit: 'short',
        queries: by('instance', only(own('process_open_fds'))),
      },
      {
        title: 'Heap in use',
        description: 'What JavaScript holds.',
        unit: 'bytes',
        queries: by('instance', only(sum(own('nodejs_heap_size_used_bytes'), 'instance'))),
      },
    ],
  };
}
