package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.msgpack.core.MessageFormat;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;
import org.msgpack.core.buffer.ChannelBufferInput;

/**
 * A place in a msgpack file, and the tensor there, which errors name. What the file claims about
 * sizes is compared with the bytes that are left before anything is made of it.
 */
final class MsgpackCursor {
  private static final int MAX_KEY = 4096;

  private final Path file;
  private final FileChannel channel;
  private final long size;
  private final MessageUnpacker unpacker;
  private long base;
  private String tensor = "";

  MsgpackCursor(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    this.size = channel.size();
    this.unpacker = MessagePack.newDefaultUnpacker(new ChannelBufferInput(channel));
    moveTo(0);
  }

  /** Reads what comes next. */
  MessageUnpacker unpacker() {
    return unpacker;
  }

  /** Begins a tensor, or goes back to a map of them. */
  void at(String name) {
    tensor = name;
  }

  /** File and tensor. */
  String where() {
    return tensor.isEmpty() ? file.toString() : file + ": tensor " + Excerpt.of(tensor);
  }

  /** Maps of strings are what Flax writes; older packers wrote bytes, and lists may be numbered. */
  String key() throws IOException {
    MessageFormat format = unpacker.getNextFormat();
    return switch (format.getValueType()) {
      case STRING, BINARY -> text();
      case INTEGER -> unpacker.unpackBigInteger().toString();
      default -> throw broken("has a key of type " + format.getValueType());
    };
  }

  String text() throws IOException {
    int length = rawHeader();
    requireLeft(length, 1, "bytes");
    expect(length <= MAX_KEY, "has a key or type name of %s bytes", length);
    ByteBuffer bytes = ByteBuffer.wrap(unpacker.readPayload(length));
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      boolean isPlain = text.chars().noneMatch(Character::isISOControl);
      expect(isPlain, "has a key or type name with control characters");
      return text;
    } catch (CharacterCodingException e) {
      throw broken("has a key or type name that is not UTF-8");
    }
  }

  int rawHeader() throws IOException {
    return switch (unpacker.getNextFormat().getValueType()) {
      case STRING -> unpacker.unpackRawStringHeader();
      case BINARY -> unpacker.unpackBinaryHeader();
      default -> throw broken("is no triple of shape, type and elements");
    };
  }

  /** Fails where fewer bytes are left than so many things take at least. */
  void requireLeft(int claimed, int bytesEach, String what) {
    long unsigned = Integer.toUnsignedLong(claimed);
    expect(
        claimed >= 0 && bytesEach * unsigned <= left(),
        "claims %d %s where %d bytes are left; the file is cut off or broken",
        unsigned,
        what,
        left());
  }

  void expect(boolean right, String otherwise, Object... values) {
    if (!right) {
      throw broken(otherwise.formatted(values));
    }
  }

  PerformerException broken(String what) {
    return new PerformerException(where() + " " + what);
  }

  long position() {
    return base + unpacker.getTotalReadBytes();
  }

  /** Bytes behind the position. */
  long left() {
    return size - position();
  }

  /** Goes on reading elsewhere, without reading what lies between. */
  void moveTo(long offset) throws IOException {
    channel.position(offset);
    unpacker.reset(new ChannelBufferInput(channel, 1024));
    base = offset;
  }
}
