package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Reads the records of a TFRecord file, gzipped or not, and checks every checksum. */
final class TfRecordReader implements AutoCloseable {
  private static final int HEADER = TfRecordFrame.HEADER;
  private static final int FOOTER = TfRecordFrame.FOOTER;
  private static final int MAX_RECORD = 1 << 30;

  private final Path file;
  private final InputStream in;
  private final boolean plain;
  private long left;
  private long record;

  private TfRecordReader(Path file, InputStream in, boolean plain, long left) {
    this.file = file;
    this.in = in;
    this.plain = plain;
    this.left = left;
  }

  /**
   * @throws PerformerException if the file cannot be opened
   */
  static TfRecordReader open(Path file) {
    String expected = "a TFRecord file";
    try (InputStream start = DataFile.openPlain(file, expected)) {
      byte[] header = start.readNBytes(HEADER);
      // A length may begin with gzip's two bytes: then its checksum is right.
      boolean gzipped =
          header.length > 1
              && header[0] == 0x1f
              && header[1] == (byte) 0x8b
              && !(header.length == HEADER && TfRecordFrame.isChecked(header, 8));
      InputStream in = gzipped ? DataFile.open(file, expected) : DataFile.openPlain(file, expected);
      return new TfRecordReader(file, in, !gzipped, Files.size(DataFile.place(file, expected)));
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** The next record's data, or null at the end. */
  byte[] next() {
    try {
      byte[] header = in.readNBytes(HEADER);
      if (header.length == 0) {
        return null;
      }
      record++;
      if (header.length < HEADER) {
        throw broken("the file ends inside its header; it is cut off");
      }
      if (!TfRecordFrame.isChecked(header, 8)) {
        throw broken("the checksum of its length is wrong; expected TFRecord");
      }
      left -= HEADER;
      long length = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN).getLong();
      if (length < 0 || length > MAX_RECORD) {
        throw broken(
            "it claims %s bytes; at most %s are read"
                .formatted(Long.toUnsignedString(length), MAX_RECORD));
      }
      if (plain && length + FOOTER > left) {
        throw broken(
            "it claims %s bytes where %s are left; it is cut off"
                .formatted(length, Math.max(0, left - FOOTER)));
      }
      byte[] data = in.readNBytes((int) length + FOOTER);
      if (data.length < length + FOOTER) {
        throw broken(
            "the file ends after " + data.length + " of its " + length + " bytes; it is cut off");
      }
      left -= data.length;
      if (!TfRecordFrame.isChecked(data, (int) length)) {
        throw broken("the checksum of its data is wrong; the file is damaged");
      }
      return Arrays.copyOf(data, (int) length);
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** The number of the record that was read last, from 1. */
  long record() {
    return record;
  }

  @Override
  public void close() {
    DataFile.close(file, in);
  }

  private PerformerException broken(String what) {
    return new PerformerException(file + ", record " + record + ": " + what);
  }
}
