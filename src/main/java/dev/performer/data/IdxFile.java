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
      PerformerException.require(
          magic.length == 4 && magic[0] == 0 && magic[1] == 0,
          "%s is no IDX file; its first two bytes must be 0",
          file);
      PerformerException.require(
          magic[2] == UNSIGNED_BYTE && magic[3] == dimensions,
          "%s holds %d dimensions of type 0x%02X; expected %d of unsigned bytes (0x08)",
          file,
          magic[3] & 0xff,
          magic[2],
          dimensions);
      byte[] sizes = in.readNBytes(4 * dimensions);
      PerformerException.require(
          sizes.length == 4 * dimensions, "%s ends inside its header; it is cut off", file);
      int[] shape = new int[dimensions];
      ByteBuffer.wrap(sizes).asIntBuffer().get(shape);
      long expected = 1;
      for (int size : shape) {
        expected = size < 1 || expected > MAX_BYTES ? 0 : expected * size;
      }
      PerformerException.require(
          expected > 0 && expected <= MAX_BYTES,
          "%s claims the shape %s; expected 1 to %d values",
          file,
          Arrays.toString(shape),
          MAX_BYTES);
      byte[] bytes = in.readNBytes((int) expected);
      PerformerException.require(
          bytes.length == expected,
          "%s, record %d: the file ends after %d of %d values; it is cut off",
          file,
          bytes.length / (expected / shape[0]),
          bytes.length,
          expected);
      PerformerException.require(
          in.read() < 0,
          "%s goes on after the %d values of its shape %s",
          file,
          expected,
          Arrays.toString(shape));
      return new IdxFile(shape, bytes);
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }
}
