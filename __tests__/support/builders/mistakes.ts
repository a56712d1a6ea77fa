/** Mistakes in inputs, noted as readers tell them. */
import type { Mistake } from '../../../src/action/mistake.js';

/** What each mistake was called with, in order. */
export interface NotedMistakes {
  readonly noted: {
    readonly input: string;
    readonly takes: string;
    readonly got?: string | undefined;
    readonly why?: string | undefined;
  }[];
  readonly mistake: Mistake;
}

export function noteMistakes(): NotedMistakes {
  const noted: NotedMistakes['noted'] = [];
  return {
    noted,
    mistake: (input, takes, got, why) => {
      noted.push({ input, takes, got, why });
      return undefined;
    },
  };
}
