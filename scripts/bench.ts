/**
 * The benchmarks. Each file says what it measures, and takes options to measure less.
 *
 *     npm run bench            on a real docker-registry: bench/distribution.ts
 *     npm run bench -- ghcr    on a simulated GHCR: bench/ghcr.ts
 */
import { benchDistribution } from './bench/distribution.js';
import { benchGhcr } from './bench/ghcr.js';

const [first = '', ...others] = process.argv.slice(2);
await (first === 'ghcr' ? benchGhcr(others) : benchDistribution(process.argv.slice(2)));
