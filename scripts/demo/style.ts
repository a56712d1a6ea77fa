/** Colours for a terminal, and none for a file or with NO_COLOR (no-color.org). */
import { styleText } from 'node:util';

type Paint = (text: string) => string;

export type Style = Readonly<Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', Paint>>;

export function styleFor(stream: NodeJS.WriteStream): Style {
  const colours = stream.isTTY && (process.env['NO_COLOR'] ?? '') === '';
  const paint =
    (name: keyof Style): Paint =>
    (text) =>
      colours ? styleText(name, text) : text;
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  };
}
