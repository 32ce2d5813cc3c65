import { generate } from 'selfsigned';

/** A certificate for this machine's loopback names and its key, as PEM; good for a day, and an authority for itself. */
export async function selfSignedCertificate(): Promise<{ cert: string; key: string }> {
  const names = [
    { type: 2 as const, value: 'localhost' },
    { type: 7 as const, ip: '127.0.0.1' },
  ];
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    notAfterDate: new Date(Date.now() + 86_400_000),
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: names },
    ],
  });
  return { cert, key };
}
