/** A request whose body can be had whole: without the events of a stream, which cost as much as reading the rest of the request. */
import { IncomingMessage } from "node:http";

type Use = (body: Buffer) => boolean;

const NOTHING = Buffer.alloc(0);

const { _dump: dump } = IncomingMessage.prototype as unknown as { _dump: (this: IncomingMessage) => void };

export class Incoming extends IncomingMessage {
  private use: Use | undefined = undefined;
  private body: Buffer = NOTHING;
  private otherwise: (() => void) | undefined = undefined;
  private isUsed = false;

  /**
   * Calls `use` once with the body, which must be short, when all of it has come; never if the client leaves before. If that answers
   * false, the body can be read as if nobody had looked, and `otherwise` is called.
   */
  whole(use: Use, otherwise: () => void): void {
    this.use = use;
    this.otherwise = otherwise;
  }

  /** Node pushes the parts of the body and then null. */
  override push(part: Buffer | null): boolean {
    const { use } = this;
    if (use === undefined) return super.push(part);
    if (part !== null) {
      this.body = this.body.length === 0 ? part : Buffer.concat([this.body, part]);
      return true;
    }
    this.use = undefined;
    this.isUsed = true; // before it is answered, which may be now
    if (use(this.body)) return true;
    this.isUsed = false;
    if (this.body.length > 0) super.push(this.body);
    super.push(null);
    this.otherwise?.();
    return true;
  }

  /** What is used has been read to its end: Node needs neither wait for that, nor keep the request until then. */
  // @ts-expect-error TS2611: @types/node has it as a property; it is an accessor of Readable
  override get readableEnded(): boolean {
    return this.isUsed || this.readableDidEnd();
  }

  /** Node reads what nobody has read, once it is answered. */
  _dump(): void {
    if (!this.isUsed) dump.call(this);
  }

  private readableDidEnd(): boolean {
    return Reflect.get(IncomingMessage.prototype, "readableEnded", this);
  }
}
