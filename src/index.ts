/**
 * Marks the job failed, runs main, clears the mark. A process that ends before main has settled, for
 * instance because nothing is left that could wake it, keeps the mark: never green and half done.
 */
import { main } from './main.js';

process.exitCode = 1;
void main().then((succeeded) => {
  process.exitCode = succeeded ? 0 : 1;
});
