package dev.performer.data;

import dev.performer.OptionalLibrary;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.parquet.bytes.BytesUtils;
import org.apache.parquet.bytes.HeapByteBufferAllocator;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.ParquetProperties;
import org.apache.parquet.format.ColumnChunk;
import org.apache.parquet.format.FileMetaData;
import org.apache.parquet.format.RowGroup;
import org.apache.parquet.format.Util;
import org.apache.parquet.hadoop.ColumnChunkPageWriteStore;
import org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.io.api.RecordConsumer;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;
import org.apache.parquet.schema.Type.Repetition;
import org.apache.parquet.schema.Types;

/** A Parquet file with a row group for each part. */
final class ParquetSink implements RowSink {
  private static final int COMMON_PREFIX = 64; // bytes of texts in statistics

  private final List<Field> fields;
  private final int[] places;
  private final MessageType schema;
  private final ParquetProperties properties;

  ParquetSink(List<Field> all) {
    OptionalLibrary.PARQUET.require("Parquet");
    places =
        IntStream.range(0, all.size())
            .filter(i -> all.get(i).formats().contains(RowFormat.PARQUET))
            .toArray();
    fields = IntStream.of(places).mapToObj(all::get).toList();
    schema = new MessageType("rows", fields.stream().map(ParquetSink::type).toList());
    var built = ParquetProperties.builder().withColumnIndexTruncateLength(COMMON_PREFIX);
    for (ColumnDescriptor column : schema.getColumns()) {
      Field field = fields.get(schema.getFieldIndex(column.getPath()[0]));
      if (field.rank() > 0 && field.type().code().startsWith("f")) {
        String path = String.join(".", column.getPath()); // values that hardly come twice
        built.withDictionaryEncoding(path, false).withStatisticsEnabled(path, false);
      }
    }
    properties = built.build();
  }

  private static Type type(Field field) {
    if (field.rank() == 0) {
      return element(field, Repetition.OPTIONAL, field.name());
    }
    Type element = element(field, Repetition.REQUIRED, "element");
    for (int i = 1; i < field.rank(); i++) {
      element = Types.requiredList().element(element).named("element");
    }
    return Types.optionalList().element(element).named(field.name());
  }

  private static Type element(Field field, Repetition repetition, String name) {
    if (field.type() == null) {
      var text = Types.primitive(PrimitiveTypeName.BINARY, repetition);
      return text.as(LogicalTypeAnnotation.stringType()).named(name);
    }
    PrimitiveTypeName kind =
        switch (field.type()) {
          case BOOL -> PrimitiveTypeName.BOOLEAN;
          case INT64 -> PrimitiveTypeName.INT64;
          case FLOAT32 -> PrimitiveTypeName.FLOAT;
          case FLOAT64 -> PrimitiveTypeName.DOUBLE;
          default -> PrimitiveTypeName.INT32;
        };
    var type = Types.primitive(kind, repetition);
    boolean isMarked = kind == PrimitiveTypeName.INT32 && field.type() != NpyType.INT32;
    if (isMarked) {
      boolean isSigned = field.type().code().startsWith("i");
      type = type.as(LogicalTypeAnnotation.intType(8 * field.type().size(), isSigned));
    }
    return type.named(name);
  }

  @Override
  public void part(Path file, List<Object[]> rows) throws IOException {
    var mode = ParquetFileWriter.Mode.OVERWRITE;
    try (var writer =
            new ParquetFileWriter(
                new LocalOutputFile(file),
                schema,
                mode,
                Long.MAX_VALUE / 2,
                0,
                COMMON_PREFIX,
                Integer.MAX_VALUE,
                true);
        var pages =
            new ColumnChunkPageWriteStore(
                ParquetCodecs.snappy(),
                schema,
                new HeapByteBufferAllocator(),
                COMMON_PREFIX,
                true);
        var columns = properties.newColumnWriteStore(schema, pages, pages)) {
      RecordConsumer to = new ColumnIOFactory().getColumnIO(schema).getRecordWriter(columns);
      for (Object[] row : rows) {
        to.startMessage();
        for (int i = 0; i < places.length; i++) {
          Object value = row[places[i]];
          if (value != null) {
            String name = fields.get(i).name();
            to.startField(name, i);
            value(to, value);
            to.endField(name, i);
          }
        }
        to.endMessage();
      }
      to.flush();
      writer.start();
      if (!rows.isEmpty()) {
        writer.startBlock(rows.size());
        columns.flush();
        pages.flushToFileWriter(writer);
        writer.endBlock();
      }
      writer.end(Map.of());
    }
  }

  private static void value(RecordConsumer to, Object value) {
    if (value instanceof NpyArray array) {
      numbers(to, array, array.buffer(), 0, 0);
    } else {
      to.addBinary(Binary.fromString(value.toString()));
    }
  }

  /** The elements of an array from a dimension on. @param from place of the first */
  private static void numbers(
      RecordConsumer to, NpyArray array, ByteBuffer all, int dimension, int from) {
    long[] shape = array.shape();
    if (dimension == shape.length) {
      number(to, array.type(), all, from);
      return;
    }
    int step = 1;
    for (int d = dimension + 1; d < shape.length; d++) {
      step *= (int) shape[d];
    }
    to.startGroup();
    if (shape[dimension] > 0) {
      to.startField("list", 0);
      for (int i = 0; i < shape[dimension]; i++) {
        to.startGroup();
        to.startField("element", 0);
        numbers(to, array, all, dimension + 1, from + i * step);
        to.endField("element", 0);
        to.endGroup();
      }
      to.endField("list", 0);
    }
    to.endGroup();
  }

  private static void number(RecordConsumer to, NpyType type, ByteBuffer all, int at) {
    switch (type) {
      case FLOAT32 -> to.addFloat(all.getFloat(4 * at));
      case FLOAT64 -> to.addDouble(all.getDouble(8 * at));
      case INT64 -> to.addLong(all.getLong(8 * at));
      case INT32, UINT32 -> to.addInteger(all.getInt(4 * at));
      case INT16 -> to.addInteger(all.getShort(2 * at));
      case UINT16 -> to.addInteger(all.getShort(2 * at) & 0xffff);
      case INT8 -> to.addInteger(all.get(at));
      case UINT8 -> to.addInteger(all.get(at) & 0xff);
      case BOOL -> to.addBoolean(all.get(at) != 0);
      case STRING -> throw new IllegalStateException("texts are no numbers");
    }
  }

  /** Copies row groups as they are, and tells where each has come to. */
  @Override
  public void join(List<Path> parts, OutputStream out) throws IOException {
    out.write(ParquetFileWriter.MAGIC);
    long position = ParquetFileWriter.MAGIC.length;
    FileMetaData all = null;
    for (Path part : parts) {
      try (ParquetFile file = new ParquetFile(part)) {
        FileMetaData own = file.written();
        for (RowGroup group : own.getRow_groups()) {
          move(group, position - ParquetFileWriter.MAGIC.length);
        }
        position += file.copyGroups(out);
        if (all == null) {
          all = own;
        } else {
          all.setNum_rows(all.getNum_rows() + own.getNum_rows());
          all.getRow_groups().addAll(own.getRow_groups());
        }
      }
    }
    for (int i = 0; i < all.getRow_groups().size(); i++) {
      all.getRow_groups().get(i).setOrdinal((short) Math.min(i, Short.MAX_VALUE));
    }
    ByteArrayOutputStream footer = new ByteArrayOutputStream();
    Util.writeFileMetaData(all, footer);
    footer.writeTo(out);
    BytesUtils.writeIntLittleEndian(out, footer.size());
    out.write(ParquetFileWriter.MAGIC);
  }

  private static void move(RowGroup group, long by) {
    group.setFile_offset(group.getFile_offset() + by);
    for (ColumnChunk chunk : group.getColumns()) {
      var column = chunk.getMeta_data();
      column.setData_page_offset(column.getData_page_offset() + by);
      if (column.isSetDictionary_page_offset()) {
        column.setDictionary_page_offset(column.getDictionary_page_offset() + by);
      }
      if (chunk.isSetColumn_index_offset()) {
        chunk.setColumn_index_offset(chunk.getColumn_index_offset() + by);
      }
      if (chunk.isSetOffset_index_offset()) {
        chunk.setOffset_index_offset(chunk.getOffset_index_offset() + by);
      }
      chunk.setFile_offset(chunk.getFile_offset() == 0 ? 0 : chunk.getFile_offset() + by);
      Collections.sort(column.getEncodings()); // the library lists them as they come from a set
    }
  }
}
