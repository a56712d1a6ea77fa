/**
 * The bare loop that the action is measured against: sends a list of reads over kept-alive connections and
 * throws the answers away. A program of its own, and it imports nothing but Node: there is nothing to add
 * to the time that requests take. Run as `node replay.js <job.json>`; prints a `Replayed` as JSON.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

export interface Job {
  readonly url: string;
  readonly concurrency: number;
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
  }[];
}

export interface Replayed {
  readonly milliseconds: number;
  /** how many answers had each status */
  readonly statuses: Readonly<Record<string, number>>;
}

const job = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Job;
const { hostname, port } = new URL(job.url);
const agent = new Agent({ keepAlive: true, maxSockets: job.concurrency });
const statuses: Record<string, number> = {};
const queue = job.requests.values();

function ask({ method, path, headers }: Job['requests'][number]): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers, agent }, (response) => {
      const status = String(response.statusCode);
      statuses[status] = (statuses[status] ?? 0) + 1;
      response.once('error', reject);
      response.once('end', resolve);
      response.resume();
    });
    sent.once('error', reject);
    sent.end();
  });
}

async function worker(): Promise<void> {
  for (const each of queue) {
    await ask(each);
  }
}

const start = performance.now();
await Promise.all(Array.from({ length: job.concurrency }, worker));
const result: Replayed = { milliseconds: performance.now() - start, statuses };
agent.destroy();
console.log(JSON.stringify(result));
