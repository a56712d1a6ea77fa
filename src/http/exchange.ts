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
import { decode } from './encoding.js';
import { CAN_IT_REACH, connectionFailure, failure } from './failure.js';
import { TransportError } from './message.js';
import type { HttpRequest, HttpResponse, RequestFailure, Send } from './message.js';
import { isWithoutProxy } from './no-proxy.js';
import type { Patience } from './patience.js';
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

interface Exchange {
  /** Rejects with a TransportError when there is no whole answer. */
  readonly send: Send;
  /** These reject now: with a timeout, or with NotSent where nothing was sent yet. Their connections are closed. */
  readonly giveUp: GiveUp;
  /** Closes the kept-alive connections. Nothing can be sent after it. */
  close(): void;
}

interface UnderWay {
  readonly request: HttpRequest;
  readonly end: (why: RequestFailure) => void;
  readonly isOnTheWire: () => boolean;
}

/** What requests to one origin share: a client keeps a single agent, and would use it for http and https alike. */
interface Line {
  readonly client: HttpClient;
  readonly agent: http.Agent;
  readonly httpModule: typeof http;
  /** the request that was made last */
  readonly latest: () => http.ClientRequest | undefined;
}

/** @throws Error when `ca` holds no PEM certificate */
export function createExchange(options: ExchangeOptions): Exchange {
  const timeouts = options.timeouts ?? TIMEOUTS;
  const { patience } = options;
  const limited = (usual: number) => (patience?.isSpent() === true ? Math.min(usual, SLOW) : usual);
  const trust = options.ca === undefined ? undefined : trustAlso(options.ca);
  const lines = new Map<string, Line>();
  const underWay = new Set<UnderWay>();

  /** @throws TransportError when the environment names a proxy that is none */
  function lineTo(request: HttpRequest): Line {
    const { origin, protocol } = request.url;
    const known = lines.get(origin);
    if (known !== undefined) {
      return known;
    }
    const client = new HttpClient(undefined, undefined, {
      keepAlive: true,
      maxSockets: options.concurrency,
      ignoreSslError: options.insecure,
      // Its timeout leaves the socket half open, so ours, which destroy it, have to come first.
      socketTimeout: 2 * Math.max(timeouts.idle, timeouts.idleDelete, timeouts.body),
    });
    const line = { client, agent: agentOf(client, request), ...capturing(protocol) };
    lines.set(origin, line);
    return line;
  }

  function agentOf(client: HttpClient, request: HttpRequest): http.Agent {
    try {
      // For loopback it takes no proxy, and gives the agent that it has for what goes around one.
      const { url } = request;
      const noProxy = process.env['no_proxy'] ?? process.env['NO_PROXY'] ?? '';
      const isAround = isWithoutProxy(url, noProxy);
      const agent = client.getAgent(isAround ? `${url.protocol}//127.0.0.1/` : url.href);
      if (trust !== undefined) {
        // Both Node's agent and the proxy's tunnel agent take the TLS options of new connections from
        // here. A context, since a list of authorities would be part of every connection's pool key.
        Object.assign(agent, {
          options: Object.assign(optionsOf(agent), { secureContext: trust }),
        });
      }
      return agent;
    } catch {
      // The cause would show the variable's value, which may hold a password.
      const name = request.url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
      throw failure(request, 'other', `the environment variable ${name} holds no URL of a proxy`);
    }
  }

  async function send(request: HttpRequest): Promise<HttpResponse> {
    const { method, url } = request;
    const { client, agent, httpModule, latest } = lineTo(request);
    let sent: http.ClientRequest | undefined;
    let ended: RequestFailure | undefined;
    const end = (why: RequestFailure) => {
      ended = why;
      sent?.destroy(why);
      if (sent?.socket === null) {
        // It waits for a connection, or for a proxy's tunnel, and would not tell before it has one.
        sent.emit('error', why);
      }
    };
    const expire = (detail: string) => {
      end(failure(request, 'timeout', detail));
    };
    const one = { request, end, isOnTheWire: () => sent !== undefined && isOnTheWire(sent) };
    underWay.add(one);
    const idleFor = method === 'DELETE' ? timeouts.idleDelete : limited(timeouts.idle);
    let since = patience?.now() ?? 0;
    const idle = setTimeout(() => {
      const isConnected = sent !== undefined && isOnTheWire(sent);
      expire(
        isConnected
          ? `no answer for ${seconds(idleFor)}`
          : `no answer for ${seconds(idleFor)}, and not even a connection. ${CAN_IT_REACH}`,
      );
    }, idleFor);
    let deadline: NodeJS.Timeout | undefined;
    try {
      const answered = client.requestRaw(
        {
          parsedUrl: url,
          httpModule,
          options: {
            agent,
            method,
            // A URL writes an IPv6 address in brackets, which the resolver takes for part of a name.
            host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
            port: url.port || (url.protocol === 'https:' ? 443 : 80),
            path: `${url.pathname}${url.search}`,
            headers: headersOf(request, options.userAgent),
          },
        },
        bodyOf(request, () => idle.refresh()),
      );
      // The client has made its request by the time that it gives a promise.
      sent = latest();
      const { message } = await answered;
      idle.refresh();
      const bodyFor = limited(timeouts.body);
      deadline = setTimeout(expire, bodyFor, `the body was not complete after ${seconds(bodyFor)}`);
      since = patience?.now() ?? 0;
      const body = await readBody(message, request, () => idle.refresh());
      const end = patience?.now() ?? 0;
      if (end - since > SLOW) {
        patience?.spend(since, end);
      }
      return {
        status: message.statusCode ?? 0,
        headers: message.headers,
        ...(await decode(message, body, request)),
        url,
      };
    } catch (error) {
      const failed = ended ?? connectionFailure(request, error);
      if (failed instanceof TransportError && failed.kind === 'timeout') {
        patience?.spend(since, patience.now());
      }
      throw failed;
    } finally {
      clearTimeout(idle);
      clearTimeout(deadline);
      underWay.delete(one);
    }
  }

  return {
    send,
    giveUp(isMeant, detail) {
      for (const { request, end, isOnTheWire } of underWay) {
        const isSent = isOnTheWire();
        if (isMeant(request, isSent)) {
          end(isSent ? failure(request, 'timeout', detail) : new NotSent());
        }
      }
    },
    close() {
      for (const { client } of lines.values()) {
        client.dispose();
      }
    },
  };
}

/** Whether anything of it can have been sent: not before it has a connection, and that its handshake behind it. */
function isOnTheWire({ socket }: http.ClientRequest): boolean {
  return socket !== null && !socket.connecting && Reflect.get(socket, 'secureConnecting') !== true;
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
    // Of text the client tells the length by itself; bytes would go in chunks, which not every server takes.
    ...(Buffer.isBuffer(request.body) && { 'content-length': request.body.length }),
  };
}

/**
 * The client writes text, and pipes anything else.
 *
 * @param onPiece told whenever the server has taken a piece, and the next is wanted
 */
function bodyOf({ body }: HttpRequest, onPiece: () => void): string | Readable | null {
  return Buffer.isBuffer(body) ? Readable.from(pieces(body, onPiece)) : (body ?? null);
}

function* pieces(body: Buffer, onPiece: () => void): Generator<Buffer> {
  for (let start = 0; start < body.length; start += PIECE) {
    onPiece();
    yield body.subarray(start, start + PIECE);
  }
}

function optionsOf(agent: http.Agent): object {
  const options: unknown = Reflect.get(agent, 'options');
  return typeof options === 'object' && options !== null ? options : {};
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

function seconds(milliseconds: number): string {
  return `${String(milliseconds / 1000)} seconds`;
}
