import { createServer, type Server } from "node:net";
import { once } from "node:events";
import type { LookupAddress } from "node:dns";

import { AddressPolicy, AllowList } from "@headrace/receivers";
import { describe, expect, test as base } from "vitest";

import { createResolver, type Resolve } from "./resolver.ts";
import { Sender, type Message } from "./sender.ts";
import { answer, hang, Receiver } from "./testing/receiver.ts";

/** A listener on a port that is served to the Internet, too, where this machine lets us have one. */
const PORTS = [8_443, 443];

/** Listens on loopback in both families, and counts who connects. */
class Trap {
  readonly #servers: Server[] = [];
  connections = 0;
  port = 0;

  async open(): Promise<void> {
    for (const port of [...PORTS, 0]) {
      for (const host of ["127.0.0.1", "::1"]) {
        const server = createServer((socket) => {
          this.connections += 1;
          socket.destroy();
        });
        server.on("error", () => undefined);
        server.listen(port === 0 ? this.port : port, host);
        await Promise.race([once(server, "listening"), once(server, "error")]);
        const address = server.address();
        if (address === null || typeof address === "string") continue;
        if (port === 0) this.port = address.port;
        this.#servers.push(server);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(async (server) => {
        server.close();
        await once(server, "close");
      }),
    );
  }
}

const test = base
  .extend("trap", async ({}, { onCleanup }) => {
    const trap = new Trap();
    await trap.open();
    onCleanup(() => trap.close());
    return trap;
  })
  .extend("receiver", async ({}, { onCleanup }) => {
    const receiver = await Receiver.start();
    onCleanup(() => receiver.close());
    return receiver;
  });

const message = (url: string): Message => ({ url, headers: {}, body: "{}" });

function senderTo(
  addresses: readonly string[] | Resolve,
  { allow = [], limitMs = 2_000 }: { allow?: string[]; limitMs?: number } = {},
): Sender {
  const resolve: Resolve =
    typeof addresses === "function" ? addresses : async () => addresses.map(toAddress);
  return new Sender(new AddressPolicy(new AllowList(allow)), resolve, limitMs);
}

function toAddress(address: string): LookupAddress {
  return { address, family: address.includes(":") ? 6 : 4 };
}

async function send(sender: Sender, url: string): Promise<unknown> {
  return sender.send(message(url), new AbortController().signal).catch((error: unknown) => error);
}

const REFUSED = { error: "address_not_allowed" };

/** URLs that name where they lead: every spelling of an address that clients have been fooled by. */
const LITERALS = [
  "127.0.0.1",
  "127.0.0.1.",
  "127.1",
  "127.0.1",
  "127.255.255.254",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "0x7F.1",
  "017700000001",
  "0177.0.0.1",
  "0177.0x0.0.01",
  "%31%32%37.0.0.1",
  "①②⑦.⓪.⓪.①",
  "１２７.０.０.１",
  "127。0。0。1",
  "127｡0．0｡1",
  "0",
  "0.0.0.0",
  "0.1.2.3",
  "10.0.0.1",
  "10.255.255.255",
  "012.0.0.1",
  "100.64.0.1",
  "100.100.100.200",
  "100.127.255.255",
  "168.63.129.16",
  "169.254.169.254",
  "2852039166",
  "0xA9FEA9FE",
  "0xa9.0xfe.0xa9.0xfe",
  "169.254.43518",
  "0251.0376.0251.0376",
  "169.254.170.2",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.192",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "192.168.257",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "239.255.255.250",
  "240.0.0.1",
  "255.255.255.255",
  "4294967295",
  "[::]",
  "[::1]",
  "[0:0:0:0:0:0:0:1]",
  "[0000::0001]",
  "[::127.0.0.1]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[0:0:0:0:0:ffff:7f00:0001]",
  "[::ffff:169.254.169.254]",
  "[::ffff:10.0.0.1]",
  "[::ffff:0:127.0.0.1]",
  "[64:ff9b::127.0.0.1]",
  "[64:ff9b::a9fe:a9fe]",
  "[64:ff9b:1::7f00:1]",
  "[100::1]",
  "[2001::1]",
  "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
  "[2001:10::1]",
  "[2001:db8::1]",
  "[2002:7f00:1::]",
  "[2002:a9fe:a9fe::1]",
  "[3fff::1]",
  "[5f00::1]",
  "[fc00::1]",
  "[fd00:ec2::254]",
  "[fe80::1]",
  "[fec0::1]",
  "[ff02::1]",
  "[ff0e::1]",
];

/** The same in other parts of the URL. */
const DISGUISES = [
  "https://example.com@127.0.0.1/",
  "https://127.0.0.1\\@example.com/",
  "https://127.0.0.1#@example.com/",
  "https:127.0.0.1/",
  "https:///127.0.0.1/",
  "https://user:password@example.com/",
  "http://example.com/",
  "http://93.184.216.34/",
  "https://93.184.216.34:22/",
  "https://93.184.216.34:6379/",
  "https://example.com:9092/",
  "ftp://127.0.0.1/",
  "file:///etc/passwd",
  "gopher://127.0.0.1/",
  "data:text/plain,hello",
  "unix:/run/docker.sock",
  "//127.0.0.1/",
  "127.0.0.1",
  "",
];

/** What names may mean, of which none may be connected to. */
const MEANINGS: readonly (readonly [string, readonly string[]])[] = [
  ["loopback.example", ["127.0.0.1"]],
  ["localhost", ["127.0.0.1", "::1"]],
  ["localhost.", ["127.0.0.1"]],
  ["LOCALHOST", ["::1"]],
  ["sub.localhost", ["127.0.0.1"]],
  ["metadata.google.internal", ["169.254.169.254"]],
  ["127.0.0.1.nip.example", ["127.0.0.1"]],
  ["mapped.example", ["::ffff:127.0.0.1"]],
  ["mapped-hex.example", ["::ffff:7f00:1"]],
  ["nat64.example", ["64:ff9b::7f00:1"]],
  ["sixtofour.example", ["2002:7f00:1::"]],
  ["zone.example", ["fe80::1%lo"]],
  ["several.example", ["10.0.0.1", "192.168.0.1", "fd00::1", "::1"]],
  ["nonsense.example", ["not an address"]],
  ["nothing.example", []],
];

describe("what leads to a machine that nobody listed", () => {
  test("has a corpus of some size", () => {
    expect(LITERALS.length + DISGUISES.length + MEANINGS.length).toBeGreaterThanOrEqual(100);
  });

  test.for(LITERALS)("https://%s is not connected to", async (host, { trap }) => {
    const sender = senderTo(["93.184.216.34"]);
    const results = await Promise.all(
      ["", ":443", ":8443", `:${trap.port}`].flatMap((port) =>
        ["https", "http"].map((scheme) => send(sender, `${scheme}://${host}${port}/`)),
      ),
    );

    for (const result of results) expect(result).toMatchObject(REFUSED);
    expect(trap.connections).toBe(0);
  });

  test.for(DISGUISES)("%s is not connected to", async (url, { trap }) => {
    expect(await send(senderTo(["127.0.0.1"]), url)).toMatchObject(REFUSED);
    expect(trap.connections).toBe(0);
  });

  test.for(MEANINGS)("a name that means it is not: %s", async ([name, meaning], { trap }) => {
    for (const port of ["", ":8443", `:${trap.port}`]) {
      expect(await send(senderTo(meaning), `https://${name}${port}/`)).toMatchObject(REFUSED);
    }
    expect(trap.connections).toBe(0);
  });

  test("is not connected to because it stood beside an address that may be", async ({ trap }) => {
    const sender = senderTo(["127.0.0.1", "192.0.2.1"], { allow: ["192.0.2.1"], limitMs: 300 });

    // Nobody answers at the address that may be: the other one must not be fallen back on.
    const result = await send(sender, "https://two-faced.example:8443/");

    expect(result).toMatchObject({ error: expect.stringMatching(/timeout|connection_failed/) });
    expect(trap.connections).toBe(0);
  });

  test("is not connected to when a name comes to mean it", async ({ trap }) => {
    const meanings = [["192.0.2.1"], ["127.0.0.1"]];
    let asked = 0;
    const resolve: Resolve = async () => {
      asked += 1;
      return (meanings.shift() ?? ["::1"]).map(toAddress);
    };
    const sender = senderTo(resolve, { allow: ["192.0.2.1"], limitMs: 300 });
    const url = "https://rebinding.example:8443/";

    const results = [await send(sender, url), await send(sender, url), await send(sender, url)];

    expect(results[0]).not.toMatchObject(REFUSED);
    expect(results.slice(1)).toMatchObject([REFUSED, REFUSED]);
    expect(asked).toBe(3);
    expect(trap.connections).toBe(0);
  });

  test("is not redirected to", async ({ trap, receiver }) => {
    const locations = [`http://127.0.0.1:${trap.port}/`, "http://[::1]:8443/", "//127.0.0.1:8443/"];
    const sender = senderTo([], { allow: ["127.0.0.1"] });

    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of locations) {
        receiver.behave = answer(status, { location });
        expect(await send(sender, receiver.url)).toEqual({ status, retryAfter: null });
      }
    }

    expect(trap.connections).toBe(0);
  });
});

describe("a receiver that the operator listed", () => {
  test.for([
    ["by its address", ["127.0.0.1"]],
    ["by its network", ["127.0.0.0/8"]],
  ] as const)("is sent to %s", async ([, allow], { receiver }) => {
    const sender = senderTo(["127.0.0.1"], { allow: [...allow] });

    const results = [
      await send(sender, receiver.url),
      await send(sender, `http://named.example:${receiver.port}/`),
    ];

    expect(results).toMatchObject([{ status: 204 }, { status: 204 }]);
  });

  test("is sent to by its name, which means what it means here", async ({ receiver }) => {
    const sender = senderTo(["192.0.2.1"], { allow: ["localhost"] });

    expect(await send(sender, `http://localhost:${receiver.port}/`)).toMatchObject({ status: 204 });
    expect(await send(sender, receiver.url)).toMatchObject(REFUSED);
  });

  test("opens no way to its neighbours", async ({ trap, receiver }) => {
    const sender = senderTo(["127.0.0.2"], { allow: ["127.0.0.1/32", "receiver.internal"] });

    expect(await send(sender, `http://other.internal:${receiver.port}/`)).toMatchObject(REFUSED);
    expect(await send(sender, `http://[::1]:${trap.port}/`)).toMatchObject(REFUSED);
    expect(trap.connections).toBe(0);
  });

  test.for(["10.0.0.0/33", "::1/129", "a b", "http://host", "*", "host/8", "-x", ""])(
    "cannot be listed as %j",
    (entry) => {
      expect(() => new AllowList([entry])).toThrow(RangeError);
    },
  );
});

describe("a receiver that answers badly", () => {
  test("is waited for so long and no longer", async ({ receiver }) => {
    receiver.behave = hang;
    const sender = senderTo([], { allow: ["127.0.0.1"], limitMs: 200 });
    const startedAt = performance.now();

    const result = await send(sender, receiver.url);

    expect(result).toMatchObject({ error: "timeout" });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test("drips its head: that counts as one wait", async ({ receiver }) => {
    receiver.behave = (response) => {
      const socket = response.socket;
      const timer = setInterval(() => socket?.write("HTTP/1.1 200 OK\r\nx: "), 50);
      socket?.on("close", () => clearInterval(timer));
    };
    const sender = senderTo([], { allow: ["127.0.0.1"], limitMs: 300 });

    expect(await send(sender, receiver.url)).toMatchObject({
      error: expect.stringMatching(/timeout|answer_invalid/),
    });
  });

  test("sends without end: 64 kB are read, and the answer counts", async ({ receiver }) => {
    const sent = Promise.withResolvers<number>();
    receiver.behave = (response) => {
      response.writeHead(200);
      const { socket } = response;
      const chunk = Buffer.alloc(65_536);
      const write = (): void => {
        while (response.write(chunk));
        response.once("drain", write);
      };
      socket?.once("close", () => sent.resolve(socket.bytesWritten));
      write();
    };
    const sender = senderTo([], { allow: ["127.0.0.1"] });

    const result = await send(sender, receiver.url);

    expect(result).toEqual({ status: 200, retryAfter: null });
    // What is on the way when the connection is cut is the system's buffers'.
    expect(await sent.promise).toBeLessThan(16 * 1_048_576);
  });

  test("is none at all, or speaks something else", async ({ receiver, trap }) => {
    const sender = senderTo([], { allow: ["127.0.0.1"] });
    const closed = await Receiver.start();
    const { url } = closed;
    await closed.close();

    expect(await send(sender, url)).toMatchObject({ error: "connection_failed" });
    expect(await send(sender, `http://127.0.0.1:${trap.port}/`)).toMatchObject({
      error: "connection_failed",
    });
    receiver.behave = (response) => response.socket?.end("SSH-2.0-OpenSSH\r\n\r\n");
    expect(await send(sender, receiver.url)).toMatchObject({ error: "answer_invalid" });
    expect(await send(sender, receiver.url.replace("http:", "https:"))).toMatchObject({
      error: "tls_failed",
    });
  });

  test("has a name that nobody knows", async () => {
    const sender = senderTo(createResolver());

    expect(await send(sender, "https://nobody.invalid/")).toMatchObject({
      error: expect.stringMatching(/name_not_found|timeout/),
    });
  });
});
