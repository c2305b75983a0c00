package dev.performer.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * What TFRecord files have around the data of a record: its length in 8 bytes, the masked CRC-32C
 * of that, and behind the data theirs.
 *
 * @see <a href="https://www.tensorflow.org/tutorials/load_data/tfrecord">the TFRecord format</a>
 */
public final class TfRecordFrame {
  static final int HEADER = 12;
  static final int FOOTER = 4;
  private static final int MASK = 0xa282ead8;

  private TfRecordFrame() {}

  /** A record as it stands in a file. */
  public static byte[] of(byte[] data) {
    var record = ByteBuffer.allocate(HEADER + data.length + FOOTER).order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(data.length).putInt(checksum(record.array(), 0, Long.BYTES));
    record.put(data).putInt(checksum(data, 0, data.length));
    return record.array();
  }

  /** Whether 4 bytes at {@code length} are the checksum of those before. */
  static boolean isChecked(byte[] bytes, int length) {
    int stored = ByteBuffer.wrap(bytes, length, FOOTER).order(ByteOrder.LITTLE_ENDIAN).getInt();
    return stored == checksum(bytes, 0, length);
  }

  private static int checksum(byte[] bytes, int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + MASK;
  }
}
