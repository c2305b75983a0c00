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
 * A place in a msgpack file. What the file claims about sizes is compared with the bytes that are
 * left before anything is made of it.
 */
final class MsgpackCursor {
  private static final int MAX_KEY = 4096;

  private final Path file;
  private final FileChannel channel;
  private final long size;
  private final MessageUnpacker unpacker;
  private long base;

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

  /** Bytes of the file. */
  long size() {
    return size;
  }

  /** Maps of strings are what Flax writes; older packers wrote bytes, and lists may be numbered. */
  String key(String parent) throws IOException {
    MessageFormat format = unpacker.getNextFormat();
    return switch (format.getValueType()) {
      case STRING -> text(parent, unpacker.unpackRawStringHeader());
      case BINARY -> text(parent, unpacker.unpackBinaryHeader());
      case INTEGER -> unpacker.unpackBigInteger().toString();
      default -> throw broken(parent, "has a key of type " + format.getValueType());
    };
  }

  String text(String name, int length) throws IOException {
    require(name, length, Integer.toUnsignedLong(length), "bytes");
    if (length > MAX_KEY) {
      throw broken(name, "has a key or type name of " + length + " bytes");
    }
    byte[] bytes = unpacker.readPayload(length);
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      if (text.chars().anyMatch(Character::isISOControl)) {
        throw broken(name, "has a key or type name with control characters");
      }
      return text;
    } catch (CharacterCodingException e) {
      throw broken(name, "has a key or type name that is not UTF-8");
    }
  }

  int rawHeader(String name) throws IOException {
    return switch (unpacker.getNextFormat().getValueType()) {
      case STRING -> unpacker.unpackRawStringHeader();
      case BINARY -> unpacker.unpackBinaryHeader();
      default -> throw broken(name, "is no triple of shape, type and elements");
    };
  }

  void skip(String name, int length) throws IOException {
    require(name, length, Integer.toUnsignedLong(length), "bytes");
    moveTo(position() + length);
  }

  void require(String name, int claimed, long bytes, String what) {
    if (claimed < 0 || bytes > size - position()) {
      throw broken(
          name,
          "claims %d %s where %d bytes are left; the file is cut off or broken"
              .formatted(Integer.toUnsignedLong(claimed), what, size - position()));
    }
  }

  void expect(String name, boolean right, String otherwise) {
    if (!right) {
      throw broken(name, otherwise);
    }
  }

  PerformerException broken(String name, String what) {
    return new PerformerException(
        name.isEmpty() ? file + " " + what : file + ": tensor " + Excerpt.of(name) + " " + what);
  }

  long position() {
    return base + unpacker.getTotalReadBytes();
  }

  /** Goes on reading elsewhere, without reading what lies between. */
  void moveTo(long offset) throws IOException {
    channel.position(offset);
    unpacker.reset(new ChannelBufferInput(channel, 1024));
    base = offset;
  }
}
