/**
 * A gate on 127.0.0.1 in front of a registry: every request to it goes on unchanged, and is counted. It can
 * break at one of them, before or after the registry carried it out. From then on nothing gets through, as
 * if the client had died at that moment.
 */
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PassingRequest {
  readonly method: string;
  /** path and query */
  readonly path: string;
  /** its number, from 1 */
  readonly n: number;
}

/** `reset`: it never reaches the registry. `lose`: it is carried out, and the answer is lost. */
export type Fate = 'pass' | 'reset' | 'lose';

export interface GateOptions {
  /** asked of each request, which waits for the answer; default: all pass */
  readonly decide?: (request: PassingRequest) => Fate | Promise<Fate>;
  /** called once, at the moment when the gate breaks */
  readonly onBroken?: () => void;
}

export interface Gate {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** what came, in order */
  readonly requests: readonly PassingRequest[];
  stop(): Promise<void>;
}

/** @param registry its URL: plain http */
export async function startGate(
  registry: string,
  { decide = () => 'pass', onBroken = () => undefined }: GateOptions = {},
): Promise<Gate> {
  const agent = new Agent({ keepAlive: true });
  const requests: PassingRequest[] = [];
  let isBroken = false;
  const breakDown = () => {
    if (!isBroken) {
      isBroken = true;
      onBroken();
    }
  };

  const server = createServer((request, response) => {
    const { method = 'GET', url: path = '/', headers } = request;
    const passing = { method, path, n: requests.length + 1 };
    requests.push(passing);
    const drop = () => request.socket.destroy();
    void (async () => {
      const fate = isBroken ? 'reset' : await decide(passing);
      if (fate === 'reset') {
        breakDown();
      }
      if (isBroken) {
        drop();
        return;
      }
      const onward = httpRequest(new URL(path, registry), { method, headers, agent });
      onward.once('error', drop);
      onward.once('response', (answer) => {
        if (fate === 'lose' || isBroken) {
          // What is under way when the gate breaks is carried out all the same.
          answer.resume().once('end', () => {
            breakDown();
            drop();
          });
        } else {
          response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
          answer.pipe(response);
        }
      });
      request.pipe(onward);
    })().catch((error: unknown) => {
      // A mistake in a test's decision must be seen, not look like a registry that hangs.
      process.emitWarning(`gate: ${String(error)}`);
      drop();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          agent.destroy();
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
