// SPDX-License-Identifier: Apache-2.0
// Finds the commands that the documents tell people to type: blocks of sh, and commands in inline code.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './relay.mjs';

/** Programs that people are told to run. Inline code that begins with one of them and has an argument is a command. */
const PROGRAM = /^(?:sudo )?(?:\w+=\S+ )*(?:ccrelay|build\/\S+|cmake|tests\/[\w/]+\.sh|runtime\/setup\.sh|examples\/\w+\.sh|node|npm|busted|luacheck|luajit|curl|systemctl|journalctl|docker|podman|apt|apt-get|pip|openssl|python3|promtool|kill|cd|aws|gcloud|az|ollama|claude|ulimit|git|eval|sqlite3|logrotate|socat|haproxy|nginx) \S/;
const SHELLS = new Set(['sh', 'bash', 'console', 'shell', '']);
/** The history tells of commands as they were. */
const LEFT_OUT = new Set(['CHANGELOG.md']);

const isCommand = (text) => PROGRAM.test(text);

function* below(folder) {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!/^(build.*|node_modules|\..*)$/.test(entry.name)) yield* below(name);
    } else if (entry.name.endsWith('.md') && !LEFT_OUT.has(name)) yield name;
  }
}

/** The paths of all documents, from the root of the repository. */
export const documents = () => [...below('')].toSorted();

/** The commands of a block: { line, text }, those over several lines joined. */
function lines(block) {
  const list = [];
  let open = false;
  block.lines.forEach((text, index) => {
    if (open) list.at(-1).text += `\n${text}`;
    else if (text.trim() && !text.startsWith('#')) list.push({ line: block.line + index, text });
    open = text.endsWith('\\');
  });
  return list;
}

const SAVED = /(?:Save this as|[Ww]rite|and) `([\w.]+)`:?$/;

/**
 * What a document has for those who follow it, in order: { line, commands } for a block of sh, { line, file, text } for
 * a file to save, { line, inline } for a command in inline code, { line, unmarked } for a block of commands that does
 * not say that it is sh.
 */
export function steps(file) {
  const text = readFileSync(path.join(root, file), 'utf8');
  const { blocks, prose } = split(text.split('\n'));
  return [...blocks.flatMap(closed), ...inlines(prose)];
}

/** The blocks of a document, and its lines with those of blocks empty. */
function split(lines) {
  const blocks = [];
  const prose = [];
  let block, name;
  lines.forEach((text, index) => {
    const fence = /^ *```(\w*)/.exec(text);
    if (fence && block) blocks.push(block);
    if (fence) block = block ? undefined : { language: fence[1], line: index + 2, lines: [], file: name };
    else if (block) block.lines.push(text);
    else if (text.trim()) name = SAVED.exec(text.trim())?.[1];
    prose.push(fence || block ? '' : text);
  });
  return { blocks, prose: prose.join('\n') };
}

/** The commands in inline code, which may go over the end of a line. */
function inlines(prose) {
  return [...prose.matchAll(/`((?:[^`\n]|\n(?!\n))+)`/g)].map(({ 1: code, index }) => ({
    line: prose.slice(0, index).split('\n').length,
    inline: code.replaceAll('\\|', '|').replaceAll(/\n */g, ' '),
  })).filter(({ inline }) => isCommand(inline));
}

function closed({ language, line, lines: text, file }) {
  if (file) return [{ line, file, text: `${text.join('\n')}\n` }];
  if (!SHELLS.has(language)) return [];
  const commands = lines({ line, lines: text });
  if (language === 'sh') return [{ line, commands }];
  return commands.some((command) => isCommand(command.text)) ? [{ line, unmarked: true }] : [];
}
