package dev.performer.data;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.Arrays;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.column.Encoding;
import org.apache.parquet.column.page.DataPage;
import org.apache.parquet.column.page.DataPageV1;
import org.apache.parquet.column.page.DataPageV2;
import org.apache.parquet.column.page.DictionaryPage;
import org.apache.parquet.column.page.PageReader;
import org.apache.parquet.column.statistics.Statistics;
import org.apache.parquet.format.PageHeader;
import org.apache.parquet.format.PageType;
import org.apache.parquet.format.Util;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;

/**
 * The pages of one column in one row group, one at a time: the library's own reader holds whole row
 * groups, and needs Hadoop.
 *
 * @see <a href="https://parquet.apache.org/docs/file-format/data-pages/">data pages</a>
 */
final class ParquetPages implements PageReader {
  private static final int LARGEST = 1 << 29; // unpacked

  private final ColumnChunkMetaData chunk;
  private final Chunk bytes;
  private final InputStream in;
  private PageHeader ahead;
  private long read;

  ParquetPages(FileChannel file, ColumnChunkMetaData chunk) {
    this.chunk = chunk;
    bytes = new Chunk(file, chunk.getStartingPos(), chunk.getTotalSize());
    in = new BufferedInputStream(bytes, 1 << 16);
  }

  /** A part of a file. */
  private static final class Chunk extends InputStream {
    private final FileChannel file;
    private long position;
    private long left;

    Chunk(FileChannel file, long position, long left) {
      this.file = file;
      this.position = position;
      this.left = left;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] to, int from, int length) throws IOException {
      int most = (int) Math.min(length, left);
      int n = most <= 0 ? -1 : file.read(ByteBuffer.wrap(to, from, most), position);
      position += Math.max(0, n);
      left -= Math.max(0, n);
      return n;
    }
  }

  @Override
  public DictionaryPage readDictionaryPage() {
    try {
      PageHeader header = header();
      if (header == null || header.getType() != PageType.DICTIONARY_PAGE) {
        return null;
      }
      byte[] page = page(header);
      var values = header.getDictionary_page_header();
      Encoding encoding = encoding(values.getEncoding());
      return new DictionaryPage(BytesInput.from(page), values.getNum_values(), encoding);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public long getTotalValueCount() {
    return chunk.getValueCount();
  }

  @Override
  public DataPage readPage() {
    try {
      while (read < chunk.getValueCount()) {
        PageHeader header = header();
        if (header == null) {
          throw new EOFException();
        }
        switch (header.getType()) {
          case DATA_PAGE -> {
            return first(header);
          }
          case DATA_PAGE_V2 -> {
            return second(header);
          }
          default -> in.skipNBytes(header.getCompressed_page_size());
        }
        ahead = null;
      }
      return null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The next, which stays the next until its page is read; null behind the last. */
  private PageHeader header() throws IOException {
    if (ahead == null && read < chunk.getValueCount()) {
      ahead = Util.readPageHeader(in);
    }
    return ahead;
  }

  /** The bytes behind a header, as they are in the file. */
  private byte[] packed(PageHeader header) throws IOException {
    int size = header.getCompressed_page_size();
    int unpacked = header.getUncompressed_page_size();
    if (size < 0 || unpacked < 0 || size > chunk.getTotalSize() || unpacked > LARGEST) {
      throw new IOException("a page claims %d bytes, packed %d".formatted(unpacked, size));
    }
    byte[] all = in.readNBytes(size);
    if (all.length < size) {
      throw new EOFException();
    }
    ahead = null;
    return all;
  }

  private byte[] page(PageHeader header) throws IOException {
    int size = header.getUncompressed_page_size();
    return ParquetCodecs.unpack(chunk.getCodec(), packed(header), size);
  }

  private static Encoding encoding(org.apache.parquet.format.Encoding name) {
    return Encoding.valueOf(name.name());
  }

  private Statistics<?> statistics() {
    return Statistics.createStats(chunk.getPrimitiveType());
  }

  private DataPage first(PageHeader header) throws IOException {
    byte[] page = page(header);
    var values = header.getData_page_header();
    read += values.getNum_values();
    return new DataPageV1(
        BytesInput.from(page),
        values.getNum_values(),
        page.length,
        statistics(),
        encoding(values.getRepetition_level_encoding()),
        encoding(values.getDefinition_level_encoding()),
        encoding(values.getEncoding()));
  }

  /** Its levels are never packed. */
  private DataPage second(PageHeader header) throws IOException {
    byte[] all = packed(header);
    var values = header.getData_page_header_v2();
    read += values.getNum_values();
    int repetition = values.getRepetition_levels_byte_length();
    int definition = values.getDefinition_levels_byte_length();
    int levels = repetition + definition;
    int size = header.getUncompressed_page_size() - levels;
    if (repetition < 0 || definition < 0 || levels > all.length || size < 0) {
      throw new IOException("a page has levels of %d bytes".formatted(levels));
    }
    byte[] data = Arrays.copyOfRange(all, levels, all.length);
    if (values.isIs_compressed() && data.length > 0) {
      data = ParquetCodecs.unpack(chunk.getCodec(), data, size);
    }
    return new DataPageV2(
        values.getNum_rows(),
        values.getNum_nulls(),
        values.getNum_values(),
        BytesInput.from(all, 0, repetition),
        BytesInput.from(all, repetition, definition),
        encoding(values.getEncoding()),
        BytesInput.from(data),
        size + levels,
        statistics(),
        false);
  }
}
