package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;

/** An array of unsigned bytes, in C order, in the IDX format, MNIST's. */
record IdxFile(int[] shape, byte[] bytes) {
  private static final int UNSIGNED_BYTE = 8;
  private static final int MAX_BYTES = 1 << 30;

  static IdxFile read(Path file, int dimensions) {
    try (InputStream in = DataFile.open(file, "an IDX file")) {
      byte[] magic = in.readNBytes(4);
      if (magic.length < 4 || magic[0] != 0 || magic[1] != 0) {
        throw new PerformerException(file + " is no IDX file; its first two bytes must be 0");
      }
      if (magic[2] != UNSIGNED_BYTE || magic[3] != dimensions) {
        throw new PerformerException(
            "%s holds %d dimensions of type 0x%02X; expected %d of unsigned bytes (0x08)"
                .formatted(file, magic[3] & 0xff, magic[2], dimensions));
      }
      byte[] sizes = in.readNBytes(4 * dimensions);
      if (sizes.length < 4 * dimensions) {
        throw new PerformerException(file + " ends inside its header; it is cut off");
      }
      int[] shape = new int[dimensions];
      ByteBuffer.wrap(sizes).asIntBuffer().get(shape);
      String shown = Arrays.toString(shape);
      int expected = 1;
      for (int size : shape) {
        if (size < 1 || size > MAX_BYTES / expected) {
          throw new PerformerException(
              "%s claims the shape %s; expected 1 to %d values".formatted(file, shown, MAX_BYTES));
        }
        expected *= size;
      }
      byte[] bytes = in.readNBytes(expected);
      if (bytes.length < expected) {
        throw new PerformerException(
            "%s, record %d: the file ends after %d of %d values; it is cut off"
                .formatted(file, bytes.length / (expected / shape[0]), bytes.length, expected));
      }
      if (in.read() >= 0) {
        throw new PerformerException(
            "%s goes on after the %d values of its shape %s".formatted(file, expected, shown));
      }
      return new IdxFile(shape, bytes);
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }
}
