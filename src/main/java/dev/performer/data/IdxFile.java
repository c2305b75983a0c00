package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * An array of unsigned bytes in the IDX format, MNIST's.
 *
 * @param shape all dimensions
 * @param bytes in C order
 */
record IdxFile(int[] shape, byte[] bytes) {
  private static final int UNSIGNED_BYTE = 8;
  private static final int MAX_BYTES = 1 << 30;

  /**
   * @param dimensions how many there must be
   * @throws PerformerException if the file is no such array
   */
  static IdxFile read(Path file, int dimensions) {
    try (InputStream in = DataFile.open(file, "an IDX file")) {
      byte[] magic = in.readNBytes(4);
      if (magic.length < 4 || magic[0] != 0 || magic[1] != 0) {
        throw new PerformerException(file + " is no IDX file; its first two bytes must be 0");
      }
      if (magic[2] != UNSIGNED_BYTE || magic[3] != dimensions) {
        throw new PerformerException(
            String.format(
                "%s holds %d dimensions of type 0x%02X; expected %d of unsigned bytes (0x08)",
                file, magic[3] & 0xff, magic[2], dimensions));
      }
      byte[] sizes = in.readNBytes(4 * dimensions);
      if (sizes.length < 4 * dimensions) {
        throw new PerformerException(file + " ends inside its header; it is cut off");
      }
      int[] shape = new int[dimensions];
      ByteBuffer.wrap(sizes).asIntBuffer().get(shape);
      long expected = 1;
      for (int size : shape) {
        expected = size < 1 || expected > MAX_BYTES ? -1 : expected * size;
      }
      if (expected < 1 || expected > MAX_BYTES) {
        throw new PerformerException(
            "%s claims the shape %s; expected 1 to %s values"
                .formatted(file, Arrays.toString(shape), MAX_BYTES));
      }
      return new IdxFile(shape, read(in, (int) expected, shape, file));
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  private static byte[] read(InputStream in, int expected, int[] shape, Path file)
      throws IOException {
    byte[] bytes = in.readNBytes(expected);
    if (bytes.length < expected) {
      int record = bytes.length / Math.max(1, expected / shape[0]);
      throw new PerformerException(
          "%s, record %d: the file ends after %d of %d values; it is cut off"
              .formatted(file, record, bytes.length, expected));
    }
    if (in.read() >= 0) {
      throw new PerformerException(
          "%s goes on after the %s values of its shape %s"
              .formatted(file, expected, Arrays.toString(shape)));
    }
    return bytes;
  }
}
