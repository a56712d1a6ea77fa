/** Servers that end with the test that started them: the last one first. */
import { afterEach } from '@jest/globals';

interface Stoppable {
  stop(): Promise<unknown>;
}

const started: Stoppable[] = [];

afterEach(async () => {
  for (const server of started.splice(0).reverse()) {
    await server.stop();
  }
});

/** @returns the server that it was given */
export function stopAfterTest<T extends Stoppable>(server: T): T {
  started.push(server);
  return server;
}
