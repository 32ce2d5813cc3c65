import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HELM_MAJORS } from '../../scripts/chart/helm.ts';
import { readObjects, renderChart, renderError, renderNotes } from '../../scripts/chart/render.ts';
import { unzipOne } from '../../scripts/lib/unzip.mjs';

let chart: string;

beforeAll(() => {
  chart = mkdtempSync(join(tmpdir(), 'voice-fleet-chart-'));
  mkdirSync(join(chart, 'templates'));
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: probe\nversion: 0.1.0\n');
  writeFileSync(join(chart, 'values.yaml'), 'word: first\nlist: {}\n');
  writeFileSync(join(chart, 'templates/NOTES.txt'), 'This is {{ .Release.Name }}.\n');
  writeFileSync(
    join(chart, 'templates/map.yaml'),
    `{{- if eq .Values.word "wrong" }}{{ fail "say another word" }}{{ end }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
data:
  word: {{ .Values.word | quote }}
  set: {{ .Values.list.a | default 0 | quote }}
  upgrade: {{ .Release.IsUpgrade | quote }}
  keda: {{ .Capabilities.APIVersions.Has "keda.sh/v1alpha1" | quote }}
  minor: {{ .Capabilities.KubeVersion.Minor | quote }}
`,
  );
});

afterAll(() => rmSync(chart, { recursive: true, force: true }));

describe.each(HELM_MAJORS)('a chart rendered by helm %s', (helm) => {
  it('is made of the values, the release and the cluster that are named', () => {
    const file = join(chart, 'more.yaml');
    writeFileSync(file, 'word: second\nlist: {a: 1}\n');
    const [map] = renderChart({
      chart,
      helm,
      values: [file, { word: 'third' }],
      set: ['list.a=2'],
      release: 'r',
      namespace: 'space',
      kubeVersion: '1.31',
      apiVersions: ['keda.sh/v1alpha1'],
      upgrade: true,
    });
    expect(map).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'r', namespace: 'space' },
      data: { word: 'third', set: '2', upgrade: 'true', keda: 'true', minor: '31' },
    });
  });

  it('is refused with the words of the chart', () => {
    const options = { chart, helm, values: { word: 'wrong' } };
    expect(renderError(options)).toContain('say another word');
    expect(() => renderChart(options)).toThrow('say another word');
    expect(() => renderError({ chart, helm })).toThrow('should have refused');
  });
});

describe('what helm says after an installation', () => {
  it('is the notes of the chart', () => {
    expect(renderNotes({ chart, release: 'mine' }).trim()).toBe('This is mine.');
  });
});

describe('rendered YAML', () => {
  it('is read as Kubernetes reads it', () => {
    const text = 'apiVersion: v1\nkind: A\nmetadata: {name: a}\n';
    const [object] = readObjects(
      `---\n# none\n---\n${text}a: yes\nb: 12:30\nc: 2020-01-01\nd: 0755\n`,
    );
    expect(object).toMatchObject({ a: true, b: '12:30', c: '2020-01-01', d: 493 });
    expect(() => readObjects(`${text}kind: B\n`)).toThrow(/unique/);
    expect(() => readObjects('apiVersion: v1\nkind: A\n')).toThrow('no Kubernetes object');
  });
});

describe('the archive that helm comes in', () => {
  const text = Buffer.from('program '.repeat(100));

  it('gives one file, packed or not', () => {
    for (const deflate of [true, false]) {
      expect(unzipOne(zip('helm/helm', text, { deflate }), 'helm/helm')).toEqual(text);
    }
  });

  it('is refused when it is damaged, encrypted, no archive or without the file', () => {
    const whole = zip('helm/helm', text);
    const cut = Buffer.concat([whole.subarray(0, 40), whole.subarray(60)]);
    expect(() => unzipOne(cut, 'helm/helm')).toThrow();
    expect(() => unzipOne(zip('helm/helm', text, { flags: 1 }), 'helm/helm')).toThrow('not known');
    expect(() => unzipOne(Buffer.alloc(100), 'helm/helm')).toThrow('no zip archive');
    expect(() => unzipOne(whole, 'helm/other')).toThrow('has no helm/other');
  });
});

/** A zip archive of one file. */
function zip(name: string, content: Buffer, { deflate = true, flags = 0 } = {}): Buffer {
  const packed = deflate ? deflateRawSync(content) : content;
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(flags, 2);
  common.writeUInt16LE(deflate ? 8 : 0, 4);
  common.writeUInt32LE(packed.length, 14);
  common.writeUInt32LE(content.length, 18);
  common.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
  const central = Buffer.concat([
    Buffer.from('PK\x01\x02\x14\x00'),
    common,
    Buffer.alloc(14),
    Buffer.from(name),
  ]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
