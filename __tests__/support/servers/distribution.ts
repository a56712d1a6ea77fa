/**
 * Distribution 3.x: configured and stored as 2.x is, so only the program differs.
 */
import { startDockerRegistry, type DockerRegistryOptions } from './docker-registry.js';
import type { RegistryProgram } from './programs.js';
import type { RealRegistry } from './real-registry.js';

export function startDistribution3(
  program: RegistryProgram,
  options: Pick<DockerRegistryOptions, 'deletes' | 'readOnly' | 'directory'> = {},
): Promise<RealRegistry> {
  return startDockerRegistry(program, options);
}
