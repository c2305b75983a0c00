package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.impl.ColumnReadStoreImpl;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.column.page.PageReader;
import org.apache.parquet.format.FileMetaData;
import org.apache.parquet.format.Util;
import org.apache.parquet.format.converter.ParquetMetadataConverter;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.metadata.ParquetMetadata;
import org.apache.parquet.io.api.Converter;
import org.apache.parquet.io.api.GroupConverter;
import org.apache.parquet.io.api.PrimitiveConverter;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.Type;

/**
 * Rows of some columns of a Parquet file, a page of each in memory at a time. Columns are single
 * texts, numbers and truth values, and lists of these.
 */
final class ParquetFile implements AutoCloseable {
  private static final int MAGIC = 0x31524150; // PAR1
  private static final int ENCRYPTED = 0x45524150; // PARE
  private static final int COPIED = 1 << 20; // bytes at a time
  private static final int SLACK = 1 << 16; // bytes that the library believes in beyond those there

  private final Path file;
  private final FileChannel channel;
  private final FileMetaData written;
  private final ParquetMetadata footer;
  private final MessageType schema;
  private final List<ParquetColumn> columns = new ArrayList<>();
  private long groupsEnd;
  private int nextGroup;
  private long left; // rows of the group that is being read
  private long row;
  private String fault;

  /** Opens a file, before its first row. */
  ParquetFile(Path file) {
    OptionalLibrary.PARQUET.require("Parquet");
    this.file = file;
    String expected = "a Parquet file";
    try {
      channel = FileChannel.open(DataFile.place(file, expected), StandardOpenOption.READ);
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
    try {
      written = written(channel);
      footer = new ParquetMetadataConverter().fromParquetMetadata(written);
      schema = footer.getFileMetaData().getSchema();
    } catch (IOException | RuntimeException e) {
      close();
      throw e instanceof PerformerException own ? own : damaged(e);
    }
  }

  private FileMetaData written(FileChannel channel) throws IOException {
    long size = channel.size();
    String none = "%s: is no Parquet file, or cut off: its %s is not there";
    int begin = size < 12 ? 0 : ints(0, 1)[0];
    require(begin == MAGIC || begin == ENCRYPTED, none, file, "beginning");
    int[] end = ints(size - 8, 2);
    require(end[1] != ENCRYPTED, "%s: is encrypted, which is not read", file);
    boolean isWhole = end[1] == MAGIC && end[0] > 0 && end[0] <= size - 12;
    require(isWhole, none, file, "end, which holds its columns,");
    byte[] bytes = bytes(size - 8 - end[0], end[0]).array();
    groupsEnd = size - 8 - end[0];
    return Util.readFileMetaData(new ByteArrayInputStream(bytes), bytes.length + SLACK);
  }

  private int[] ints(long position, int count) throws IOException {
    ByteBuffer bytes = bytes(position, 4 * count).order(ByteOrder.LITTLE_ENDIAN);
    return count == 1 ? new int[] {bytes.getInt(0)} : new int[] {bytes.getInt(0), bytes.getInt(4)};
  }

  private ByteBuffer bytes(long position, int length) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes, position + bytes.position()) < 0) {
        throw new EOFException();
      }
    }
    return bytes;
  }

  private PerformerException damaged(Exception e) {
    Throwable cause = e;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    String why = "it does not hold what it claims";
    if (cause instanceof EOFException) {
      why = "it ends too early";
    } else if (cause instanceof IOException io) {
      why = AtomicFiles.describe(io);
    }
    return new PerformerException(
        "%s: is damaged behind row %d: %s".formatted(file, row, Excerpt.of(why)), e);
  }

  /** All rows. */
  long rows() {
    return footer.getBlocks().stream().mapToLong(BlockMetaData::getRowCount).sum();
  }

  /** What its end says of it, as it is written there. */
  FileMetaData written() {
    return written;
  }

  /** Copies all between its first bytes and its end. @return how many bytes */
  long copyGroups(OutputStream out) throws IOException {
    int magic = Integer.BYTES;
    for (long at = magic; at < groupsEnd; at += COPIED) {
      out.write(bytes(at, (int) Math.min(COPIED, groupsEnd - at)).array());
    }
    return groupsEnd - magic;
  }

  /** The names of all columns, in their order. */
  List<String> names() {
    return schema.getFields().stream().map(Type::getName).toList();
  }

  /** A column as a field. @throws PerformerException if it is not there, or of another type */
  Field field(String name) {
    return column(name).field();
  }

  private ParquetColumn column(String name) {
    String unknown = "%s: has no column '%s'; it has [%s]";
    require(schema.containsField(name), unknown, file, name, Excerpt.names(names()));
    return ParquetColumn.of(schema.getType(name), schema, file);
  }

  /** Chooses the columns of the rows, in their order; before the first. */
  void choose(List<String> names) {
    names.forEach(name -> columns.add(column(name)));
  }

  /** Passes over rows. */
  void skip(long count) {
    long over = count;
    while (nextGroup < footer.getBlocks().size()
        && left == 0
        && over >= footer.getBlocks().get(nextGroup).getRowCount()) {
      long rows = footer.getBlocks().get(nextGroup++).getRowCount();
      over -= rows;
      row += rows;
    }
    for (; over > 0 && next() != null; over--) {}
  }

  /** The values of the next row, null where one is missing; null behind the last. */
  Object[] next() {
    try {
      while (left == 0) {
        if (nextGroup == footer.getBlocks().size()) {
          return null;
        }
        BlockMetaData group = footer.getBlocks().get(nextGroup++);
        if (group.getRowCount() > 0) {
          open(group);
        }
      }
      left--;
      row++;
      fault = null;
      Object[] values = new Object[columns.size()];
      for (int i = 0; i < values.length; i++) {
        try {
          values[i] = columns.get(i).next();
        } catch (PerformerException e) {
          fault = e.getMessage();
        }
      }
      return values;
    } catch (IOException | RuntimeException e) {
      throw damaged(e);
    }
  }

  /** Why the last row cannot be used; null if it can be. */
  String fault() {
    return fault;
  }

  private void open(BlockMetaData group) throws IOException {
    Map<ColumnDescriptor, ColumnChunkMetaData> chunks = new LinkedHashMap<>();
    for (ColumnChunkMetaData chunk : group.getColumns()) {
      chunks.put(schema.getColumnDescription(chunk.getPath().toArray()), chunk);
    }
    var pages =
        new PageReadStore() {
          @Override
          public PageReader getPageReader(ColumnDescriptor column) {
            return new ParquetPages(channel, chunks.get(column));
          }

          @Override
          public long getRowCount() {
            return group.getRowCount();
          }
        };
    String by = footer.getFileMetaData().getCreatedBy();
    var store = new ColumnReadStoreImpl(pages, new Nothing(schema), schema, by);
    for (ParquetColumn column : columns) {
      if (!chunks.containsKey(column.leaf())) {
        throw new IOException("column '%s' is not in it".formatted(column.field().name()));
      }
      column.open(store.getColumnReader(column.leaf()));
    }
    left = group.getRowCount();
  }

  /** The library's readers want somewhere to put values, which are asked of them one by one. */
  private static final class Nothing extends GroupConverter {
    private final GroupType type;

    Nothing(GroupType type) {
      this.type = type;
    }

    @Override
    public Converter getConverter(int place) {
      Type field = type.getType(place);
      return field.isPrimitive() ? new PrimitiveConverter() {} : new Nothing(field.asGroupType());
    }

    @Override
    public void start() {}

    @Override
    public void end() {}
  }

  @Override
  public void close() {
    DataFile.close(file, channel);
  }
}
