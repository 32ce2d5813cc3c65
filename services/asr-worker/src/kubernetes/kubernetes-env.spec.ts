import { describe, expect, it } from '@jest/globals';
import { ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { WorkerEnv } from '../config.ts';

const IN_A_POD = {
  POD_DELETION_COST: 'true',
  POD_NAME: 'asr-b-7d9c-x2k4p',
  POD_NAMESPACE: 'voice',
  KUBERNETES_SERVICE_HOST: '10.96.0.1',
  KUBERNETES_SERVICE_PORT: '443',
};

describe('the variables of a worker that tells Kubernetes what its loss would cost', () => {
  it('are of no matter where that is not asked for', () => {
    expect(parseEnv(WorkerEnv, { POD_NAME: 'x' }).deletionCost).toBeUndefined();
  });

  it('name its pod, and where Kubernetes is asked', () => {
    expect(parseEnv(WorkerEnv, IN_A_POD).deletionCost).toEqual({
      pod: {
        host: '10.96.0.1',
        port: 443,
        namespace: 'voice',
        name: 'asr-b-7d9c-x2k4p',
        accountDir: '/var/run/secrets/kubernetes.io/serviceaccount',
      },
      intervalMs: 30_000,
    });
  });

  it('may name a port for HTTPS of its own', () => {
    const env = { ...IN_A_POD, KUBERNETES_SERVICE_PORT_HTTPS: '6443' };
    expect(parseEnv(WorkerEnv, env).deletionCost?.pod.port).toBe(6443);
  });

  it('are all told of that are missing', () => {
    const parse = (): unknown => parseEnv(WorkerEnv, { POD_DELETION_COST: 'true' });
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(
      /POD_NAME must be set.*POD_NAMESPACE must be set.*KUBERNETES_SERVICE_HOST must be set/,
    );
  });

  it.each([
    ['POD_NAME', '../nodes/n'],
    ['POD_NAMESPACE', 'a/b'],
    ['KUBERNETES_SERVICE_HOST', 'host/path'],
    ['KUBERNETES_SERVICE_PORT', 'tcp://10.96.0.1:443'],
  ])('refuse %s=%s', (name, value) => {
    expect(() => parseEnv(WorkerEnv, { ...IN_A_POD, [name]: value })).toThrow(name);
  });
});
