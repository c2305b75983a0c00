package dev.performer.data;

import com.github.luben.zstd.Zstd;
import io.airlift.compress.lz4.Lz4Decompressor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.compression.CompressionCodecFactory.BytesInputCompressor;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.xerial.snappy.Snappy;

/** What pages of Parquet are compressed with; the library's own way needs Hadoop. */
final class ParquetCodecs {
  private ParquetCodecs() {}

  /** Unpacks a page. @throws IOException if it is damaged, or packed in a way that is not known */
  static byte[] unpack(CompressionCodecName codec, byte[] packed, int size) throws IOException {
    byte[] page =
        switch (codec) {
          case UNCOMPRESSED -> packed;
          case SNAPPY -> {
            if (Snappy.uncompressedLength(packed) != size) {
              throw new IOException("a page has not the size it claims");
            }
            yield Snappy.uncompress(packed);
          }
          case GZIP -> {
            try (var in = new GZIPInputStream(new ByteArrayInputStream(packed))) {
              yield in.readNBytes(size);
            }
          }
          case ZSTD -> zstd(packed, size);
          case LZ4_RAW -> {
            byte[] all = new byte[size];
            int n = new Lz4Decompressor().decompress(packed, 0, packed.length, all, 0, size);
            yield Arrays.copyOf(all, n);
          }
          default ->
              throw new IOException(
                  "its pages are packed by "
                      + codec
                      + "; write it with snappy, gzip, zstd or lz4_raw");
        };
    if (page.length != size) {
      throw new IOException("a page has not the size it claims");
    }
    return page;
  }

  private static byte[] zstd(byte[] packed, int size) throws IOException {
    byte[] all = new byte[size];
    long n = Zstd.decompress(all, packed);
    if (Zstd.isError(n) || n != size) {
      throw new IOException("a page has not the size it claims");
    }
    return all;
  }

  /** For files that are written: every reader of Parquet has it, and it costs little time. */
  static BytesInputCompressor snappy() {
    return new BytesInputCompressor() {
      @Override
      public BytesInput compress(BytesInput bytes) throws IOException {
        return BytesInput.from(Snappy.compress(bytes.toByteArray()));
      }

      @Override
      public CompressionCodecName getCodecName() {
        return CompressionCodecName.SNAPPY;
      }

      @Override
      public void release() {}
    };
  }
}
