/**
 * One request and its whole answer over the wire, with @actions/http-client, whose proxy support is why
 * it is used. No retry, no redirect, no judgement of the status: those are layers of their own. Nothing
 * else in this program may import the http-client.
 */
import { X509Certificate } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import tls, { rootCertificates } from 'node:tls';

import { HttpClient } from '@actions/http-client';

import { readBody } from './body.js';
import { systemClock } from './clock.js';
import { decode } from './encoding.js';
import { CAN_IT_REACH, connectionFailure, failure } from './failure.js';
import { TransportError } from './message.js';
import type { HttpRequest, HttpResponse, RequestFailure, Send } from './message.js';
import { isWithoutProxy } from './no-proxy.js';
import { createPatience, type Patience } from './patience.js';
import { NotSent, type GiveUp } from './stop.js';

export interface Timeouts {
  /** milliseconds without a byte, connecting included */
  readonly idle: number;
  /** the same for DELETE: Distribution's takes time in proportion to the repository's tags */
  readonly idleDelete: number;
  /** milliseconds from the headers to the end of the body, however steadily it drips */
  readonly body: number;
}

const PIECE = 64 * 1024;

/** Milliseconds that a body may take and not count as slow, and that it has once patience is spent. */
const SLOW = 10_000;

const TIMEOUTS: Timeouts = { idle: 60_000, idleDelete: 300_000, body: 120_000 };

export interface ExchangeOptions {
  /** connections per origin */
  readonly concurrency: number;
  /** skip the check of TLS certificates */
  readonly insecure: boolean;
  /** PEM certificates to trust beside the ones that Node trusts */
  readonly ca?: string;
  readonly userAgent: string;
  readonly timeouts?: Timeouts;
  /** told of what is slow; once it is spent, little is waited for */
  readonly patience?: Patience;
}

/** With what is used where nothing was given. */
type Settled = Required<Omit<ExchangeOptions, 'ca'>>;

/** Shared by all requests to one origin: a client keeps a single agent, and would use it for http and https alike. */
interface Line {
  readonly client: HttpClient;
  readonly agent: http.Agent;
  readonly httpModule: typeof http;
  /** the request that was made last */
  readonly latest: () => http.ClientRequest | undefined;
}

export class Exchange {
  readonly #options: Settled;
  readonly #trust: tls.SecureContext | undefined;
  readonly #lines = new Map<string, Line>();
  readonly #underWay = new Set<UnderWay>();

  /** @throws Error when `ca` holds no PEM certificate */
  constructor({ ca, timeouts = TIMEOUTS, patience, ...options }: ExchangeOptions) {
    this.#options = { ...options, timeouts, patience: patience ?? createPatience(systemClock) };
    this.#trust = ca === undefined ? undefined : trustAlso(ca);
  }

  /** Rejects with a TransportError when there is no whole answer. */
  readonly send: Send = async (request) => {
    const line = this.#lineTo(request);
    const one = new UnderWay(request, this.#options);
    this.#underWay.add(one);
    try {
      return await one.answer(line);
    } finally {
      this.#underWay.delete(one);
    }
  };

  /** These reject now: with a timeout, or with NotSent where nothing was sent yet. Their connections are closed. */
  readonly giveUp: GiveUp = (isMeant, detail) => {
    for (const one of this.#underWay) {
      const isSent = one.isOnTheWire();
      if (isMeant(one.request, isSent)) {
        one.end(isSent ? failure(one.request, 'timeout', detail) : new NotSent());
      }
    }
  };

  /** Closes the kept-alive connections. Nothing can be sent after it. */
  close(): void {
    for (const { client } of this.#lines.values()) {
      client.dispose();
    }
  }

  /** @throws TransportError when the environment names a proxy that isn't valid */
  #lineTo(request: HttpRequest): Line {
    const { origin, protocol } = request.url;
    const known = this.#lines.get(origin);
    if (known !== undefined) {
      return known;
    }
    const { concurrency, insecure, timeouts } = this.#options;
    const client = new HttpClient(undefined, undefined, {
      keepAlive: true,
      maxSockets: concurrency,
      ignoreSslError: insecure,
      // Its timeout leaves the socket half open, so ours, which destroy it, have to come first.
      socketTimeout: 2 * Math.max(timeouts.idle, timeouts.idleDelete, timeouts.body),
    });
    const line = { client, agent: this.#agentOf(client, request), ...capturing(protocol) };
    this.#lines.set(origin, line);
    return line;
  }

  #agentOf(client: HttpClient, request: HttpRequest): http.Agent {
    try {
      // For loopback it takes no proxy, and gives the agent that it has for what goes around one.
      const { url } = request;
      const noProxy = process.env['no_proxy'] ?? process.env['NO_PROXY'] ?? '';
      const isAround = isWithoutProxy(url, noProxy);
      const agent = client.getAgent(isAround ? `${url.protocol}//127.0.0.1/` : url.href);
      if (this.#trust !== undefined) {
        // Both Node's agent and the proxy's tunnel agent take the TLS options of new connections from
        // here. A context, since a list of authorities would be part of every connection's pool key.
        Object.assign(Reflect.get(agent, 'options') as object, { secureContext: this.#trust });
      }
      return agent;
    } catch {
      // The cause would show the variable's value, which may hold a password.
      const name = request.url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
      throw failure(request, 'other', `the environment variable ${name} isn't the URL of a proxy`);
    }
  }
}

/** One request from its sending to the end of its answer, and what may end it before. */
class UnderWay {
  readonly request: HttpRequest;
  readonly #options: Settled;
  #sent: http.ClientRequest | undefined;
  #ended: RequestFailure | undefined;
  /** when it began to wait for what it waits for, the headers or the body */
  #since: number;

  constructor(request: HttpRequest, options: Settled) {
    this.request = request;
    this.#options = options;
    this.#since = options.patience.now();
  }

  /** Whether anything of it can have been sent: not before it has a connection, and that its handshake behind it. */
  isOnTheWire(): boolean {
    const socket = this.#sent?.socket ?? undefined;
    return socket?.connecting === false && Reflect.get(socket, 'secureConnecting') !== true;
  }

  end(why: RequestFailure): void {
    this.#ended = why;
    this.#sent?.destroy(why);
    if (this.#sent?.socket === null) {
      // It waits for a connection, or for a proxy's tunnel, and would not tell before it has one.
      this.#sent.emit('error', why);
    }
  }

  /** @throws TransportError, or what it was ended with */
  async answer(line: Line): Promise<HttpResponse> {
    const { timeouts, patience } = this.#options;
    const { request } = this;
    const idleFor =
      request.method === 'DELETE' ? timeouts.idleDelete : this.#limited(timeouts.idle);
    const idle = setTimeout(() => {
      const nowhere = this.isOnTheWire() ? '' : `, not even a connection. ${CAN_IT_REACH}`;
      this.#expire(`no answer for ${String(idleFor / 1000)} seconds${nowhere}`);
    }, idleFor);
    let deadline: NodeJS.Timeout | undefined;
    try {
      const message = await this.#headers(line, idle);
      idle.refresh();
      const bodyFor = this.#limited(timeouts.body);
      deadline = setTimeout(() => {
        this.#expire(`the body was not complete after ${String(bodyFor / 1000)} seconds`);
      }, bodyFor);
      this.#since = patience.now();
      const body = await readBody(message, request, () => idle.refresh());
      if (patience.now() - this.#since > SLOW) {
        patience.spend(this.#since, patience.now());
      }
      return {
        status: message.statusCode ?? 0,
        headers: message.headers,
        ...(await decode(message, body, request)),
        url: request.url,
      };
    } catch (error) {
      const failed = this.#ended ?? connectionFailure(request, error);
      if (failed instanceof TransportError && failed.kind === 'timeout') {
        patience.spend(this.#since, patience.now());
      }
      throw failed;
    } finally {
      clearTimeout(idle);
      clearTimeout(deadline);
    }
  }

  async #headers(line: Line, idle: NodeJS.Timeout): Promise<IncomingMessage> {
    const { method, url, body = null } = this.request;
    const options = {
      agent: line.agent,
      method,
      // A URL writes an IPv6 address in brackets, which the resolver takes for part of a name.
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port || (url.protocol === 'https:' ? 443 : 80),
      path: `${url.pathname}${url.search}`,
      headers: headersOf(this.request, this.#options.userAgent),
    };
    const info = { parsedUrl: url, httpModule: line.httpModule, options };
    // The client writes text, and pipes anything else.
    const isBytes = Buffer.isBuffer(body);
    const content = isBytes ? Readable.from(pieces(body, () => idle.refresh())) : body;
    const answered = line.client.requestRaw(info, content);
    // The client has made its request by the time that it gives a promise.
    this.#sent = line.latest();
    return (await answered).message;
  }

  #limited(usual: number): number {
    return this.#options.patience.isSpent() ? Math.min(usual, SLOW) : usual;
  }

  #expire(detail: string): void {
    this.end(failure(this.request, 'timeout', detail));
  }
}

/**
 * Node's own module, with a `request` that remembers the latest one made: the http-client hands out none
 * that could be destroyed, and an AbortSignal for each would cost a tenth of all the work there is.
 */
function capturing(protocol: string): Pick<Line, 'httpModule' | 'latest'> {
  const { request } = protocol === 'https:' ? https : http;
  let made: http.ClientRequest | undefined;
  const call = (options: http.RequestOptions, answered: (message: IncomingMessage) => void) =>
    (made = request(options, answered));
  return {
    // The client calls it in this one of its forms only.
    httpModule: { ...http, request: call as typeof http.request },
    latest: () => made,
  };
}

function headersOf(request: HttpRequest, userAgent: string): http.OutgoingHttpHeaders {
  return {
    ...request.headers,
    // Through a proxy's tunnel Node would put the scheme's own port behind it.
    host: request.url.host,
    ...(request.authorization !== undefined && { authorization: request.authorization }),
    // A digest is of the bytes as stored, so no server may compress them on the way.
    'accept-encoding': 'identity',
    'user-agent': userAgent,
    // The client tells the length of text by itself; bytes would go in chunks, which not every server takes.
    ...(Buffer.isBuffer(request.body) && { 'content-length': request.body.length }),
  };
}

/** @param onPiece told whenever the server has taken a piece, and the next is wanted */
function* pieces(body: Buffer, onPiece: () => void): Generator<Buffer> {
  for (let start = 0; start < body.length; start += PIECE) {
    onPiece();
    yield body.subarray(start, start + PIECE);
  }
}

function trustAlso(ca: string): tls.SecureContext {
  try {
    new X509Certificate(ca);
  } catch {
    throw new Error('ca-file holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)');
  }
  // Node 20 has no getCACertificates(); its bundled roots are the next best.
  const trusted = 'getCACertificates' in tls ? tls.getCACertificates('default') : rootCertificates;
  return tls.createSecureContext({ ca: [...trusted, ca] });
}
