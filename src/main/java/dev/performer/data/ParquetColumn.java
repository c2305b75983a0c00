package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.ColumnReader;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.IntLogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;
import org.apache.parquet.schema.Type.Repetition;

/** A column of a Parquet file: single values, or lists as any of its writers nests them. */
final class ParquetColumn {
  private final Field field;
  private final ColumnDescriptor leaf;
  private final int listed; // the definition level from which on a list has elements; 0 for none
  private final boolean mayBeMissing;
  private final NpyType stored; // of the numbers as the file has them
  private ColumnReader reader;
  private long left;

  private ParquetColumn(
      Field field, ColumnDescriptor leaf, int listed, boolean mayBeMissing, NpyType stored) {
    this.field = field;
    this.leaf = leaf;
    this.listed = listed;
    this.mayBeMissing = mayBeMissing;
    this.stored = stored;
  }

  /** Of a top-level field. @throws PerformerException if it is of a type that is not read */
  static ParquetColumn of(Type top, MessageType schema, Path file) {
    int listed = top.isRepetition(Repetition.REPEATED) ? 1 : 0;
    int level = top.isRepetition(Repetition.REQUIRED) ? 0 : 1;
    Type type = top;
    boolean isList = listed > 0;
    String[] path = {top.getName()};
    while (!type.isPrimitive()) {
      GroupType group = type.asGroupType();
      boolean isOne = group.getFieldCount() == 1;
      if (!isOne
          || type == top
              && !(group.getLogicalTypeAnnotation()
                  instanceof LogicalTypeAnnotation.ListLogicalTypeAnnotation)) {
        throw unfit(top, file);
      }
      type = group.getType(0);
      level += type.isRepetition(Repetition.REQUIRED) ? 0 : 1;
      if (type.isRepetition(Repetition.REPEATED)) {
        if (isList) {
          throw unfit(top, file);
        }
        isList = true;
        listed = level;
      }
      path = Arrays.copyOf(path, path.length + 1);
      path[path.length - 1] = type.getName();
    }
    PrimitiveType primitive = type.asPrimitiveType();
    boolean isText = isText(primitive);
    NpyType stored = isText ? null : number(primitive);
    if (!isText && stored == null || isText && isList) {
      throw unfit(top, file);
    }
    String name = top.getName();
    Field field = isText ? Field.text(name) : Field.number(name, stored);
    field = isList ? Field.numbers(name, stored, 1, 0, false) : field;
    boolean mayBeMissing = top.isRepetition(Repetition.OPTIONAL);
    ColumnDescriptor leaf = schema.getColumnDescription(path);
    return new ParquetColumn(field, leaf, listed, mayBeMissing, stored);
  }

  private static PerformerException unfit(Type top, Path file) {
    String text =
        "%s: column '%s' is %s; columns that are used are text, numbers, truth values or lists of numbers";
    String shown = top.toString().replaceAll("\\s+", " ").strip();
    return new PerformerException(text.formatted(file, top.getName(), shown));
  }

  /** Older writers leave texts without a mark. */
  private static boolean isText(PrimitiveType type) {
    var kind = type.getLogicalTypeAnnotation();
    return type.getPrimitiveTypeName() == PrimitiveTypeName.BINARY
        && (kind == null
            || kind instanceof LogicalTypeAnnotation.StringLogicalTypeAnnotation
            || kind instanceof LogicalTypeAnnotation.EnumLogicalTypeAnnotation
            || kind instanceof LogicalTypeAnnotation.JsonLogicalTypeAnnotation);
  }

  /** Null for what is no plain number. */
  private static NpyType number(PrimitiveType type) {
    var kind = type.getLogicalTypeAnnotation();
    var whole = kind instanceof IntLogicalTypeAnnotation own ? own : null;
    if (kind != null && whole == null) {
      return null;
    }
    boolean isSigned = whole == null || whole.isSigned();
    return switch (type.getPrimitiveTypeName()) {
      case BOOLEAN -> NpyType.BOOL;
      case INT32 ->
          switch (whole == null ? 32 : whole.getBitWidth()) {
            case 8 -> isSigned ? NpyType.INT8 : NpyType.UINT8;
            case 16 -> isSigned ? NpyType.INT16 : NpyType.UINT16;
            default -> isSigned ? NpyType.INT32 : NpyType.UINT32;
          };
      case INT64 -> isSigned ? NpyType.INT64 : null;
      case FLOAT -> NpyType.FLOAT32;
      case DOUBLE -> NpyType.FLOAT64;
      default -> null;
    };
  }

  Field field() {
    return field;
  }

  ColumnDescriptor leaf() {
    return leaf;
  }

  /** Begins a row group. */
  void open(ColumnReader values) {
    reader = values;
    left = values.getTotalValueCount();
  }

  /** The value of the next row; null if there is none. Behind it also where it is refused. */
  Object next() {
    if (left <= 0) {
      throw new IllegalStateException("a column has fewer values than rows");
    }
    int level = reader.getCurrentDefinitionLevel();
    if (listed == 0) {
      try {
        return level < leaf.getMaxDefinitionLevel() ? null : value();
      } finally {
        advance();
      }
    }
    if (level < listed) {
      advance();
      boolean isMissing = mayBeMissing && level == 0;
      return isMissing ? null : new NpyArray(stored, new long[] {0}, new byte[0]);
    }
    ByteBuffer all = buffer(16);
    boolean isWhole = true;
    do {
      if (all.remaining() < stored.size()) {
        all = buffer(2 * all.capacity()).put(all.flip());
      }
      boolean isThere = reader.getCurrentDefinitionLevel() == leaf.getMaxDefinitionLevel();
      isWhole &= isThere;
      if (isThere) {
        put(all);
      }
      advance();
    } while (left > 0 && reader.getCurrentRepetitionLevel() > 0);
    require(isWhole, "column '%s' has a list with a missing number", field.name());
    byte[] bytes = Arrays.copyOf(all.array(), all.position());
    return new NpyArray(stored, new long[] {bytes.length / stored.size()}, bytes);
  }

  private void advance() {
    left--;
    reader.consume();
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private Object value() {
    if (stored == null) {
      ByteBuffer bytes = reader.getBinary().toByteBuffer();
      try {
        return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      } catch (CharacterCodingException e) {
        String text = "column '%s' holds bytes that are no UTF-8; expected text";
        throw new PerformerException(text.formatted(field.name()), e);
      }
    }
    ByteBuffer one = buffer(stored.size());
    put(one);
    return new NpyArray(stored, new long[0], one.array());
  }

  private void put(ByteBuffer to) {
    switch (stored) {
      case BOOL -> to.put((byte) (reader.getBoolean() ? 1 : 0));
      case INT8, UINT8 -> to.put((byte) reader.getInteger());
      case INT16, UINT16 -> to.putShort((short) reader.getInteger());
      case INT32, UINT32 -> to.putInt(reader.getInteger());
      case INT64 -> to.putLong(reader.getLong());
      case FLOAT32 -> to.putFloat(reader.getFloat());
      case FLOAT64 -> to.putDouble(reader.getDouble());
      case STRING -> throw new IllegalStateException("texts are no numbers");
    }
  }
}
