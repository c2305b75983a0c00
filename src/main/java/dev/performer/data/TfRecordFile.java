package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * Reads the records of a TFRecord file, gzipped or not, and checks every checksum. Around the data
 * of a record are its length in 8 bytes, the masked CRC-32C of that, and behind the data theirs.
 *
 * @see <a href="https://www.tensorflow.org/tutorials/load_data/tfrecord">the TFRecord format</a>
 */
public final class TfRecordFile implements AutoCloseable {
  private static final int HEADER = 12;
  private static final int FOOTER = 4;
  private static final int MASK = 0xa282ead8;
  private static final int MAX_RECORD = 1 << 30;

  private final Path file;
  private final InputStream in;
  private long left; // unknown, so without a limit, where it is gzipped
  private long record;

  /** Opens a file. @throws PerformerException if there is none */
  public TfRecordFile(Path file) {
    this.file = file;
    String expected = "a TFRecord file";
    try (InputStream start = DataFile.openPlain(file, expected)) {
      byte[] header = start.readNBytes(HEADER);
      // A length may begin with gzip's two bytes: then its checksum is right.
      boolean isGzipped =
          header.length > 1
              && header[0] == 0x1f
              && header[1] == (byte) 0x8b
              && !(header.length == HEADER && isChecked(header, 8));
      in = isGzipped ? DataFile.open(file, expected) : DataFile.openPlain(file, expected);
      left = isGzipped ? Long.MAX_VALUE : Files.size(DataFile.place(file, expected));
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** The next record's data, or null at the end. */
  public byte[] next() {
    try {
      byte[] header = in.readNBytes(HEADER);
      if (header.length == 0) {
        return null;
      }
      record++;
      require(header.length == HEADER, "the file ends inside its header; it is cut off");
      require(isChecked(header, 8), "the checksum of its length is wrong; expected TFRecord");
      left -= HEADER;
      long length = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN).getLong();
      boolean isRead = length >= 0 && length <= MAX_RECORD;
      String claimed = isRead ? "" : Long.toUnsignedString(length);
      require(isRead, "it claims %s bytes; at most %d are read", claimed, MAX_RECORD);
      long there = Math.max(0, left - FOOTER);
      String over = "it claims %d bytes where %d are left; it is cut off";
      require(length + FOOTER <= left, over, length, there);
      byte[] data = in.readNBytes((int) length + FOOTER);
      String cut = "the file ends after %d of its %d bytes; it is cut off";
      require(data.length == length + FOOTER, cut, data.length, length);
      left -= data.length;
      require(isChecked(data, (int) length), "the checksum of its data is wrong; it is damaged");
      return Arrays.copyOf(data, (int) length);
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** Fails for the record that was read last unless a condition holds. */
  void require(boolean condition, String format, Object... values) {
    if (!condition) {
      throw failure(format.formatted(values), null);
    }
  }

  PerformerException failure(String what, Exception cause) {
    return new PerformerException(file + ", record " + record + ": " + what, cause);
  }

  @Override
  public void close() {
    DataFile.close(file, in);
  }

  /** A record as it stands in a file. */
  public static byte[] framed(byte[] data) {
    var record = ByteBuffer.allocate(HEADER + data.length + FOOTER).order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(data.length).putInt(checksum(record.array(), Long.BYTES));
    return record.put(data).putInt(checksum(data, data.length)).array();
  }

  /** Whether 4 bytes at {@code length} are the checksum of those before. */
  private static boolean isChecked(byte[] bytes, int length) {
    int stored = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt(length);
    return stored == checksum(bytes, length);
  }

  private static int checksum(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + MASK;
  }
}
