package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;

/** A table as text with a line for each row, or for each of its tokens. */
final class CsvSink implements RowSink {
  private final List<Field> fields;
  private final List<String> tokens;
  private final List<Integer> places;
  private final int ids; // the place of a row's token ids
  private final boolean isPerToken;
  private final char comma;
  private final boolean isGzipped;

  CsvSink(Path target, List<Field> fields, List<String> tokens) {
    this.fields = fields;
    this.tokens = tokens;
    ids = Field.place(fields, "tokens");
    String name = target.toString();
    comma = name.matches("(?i).*\\.tsv(\\.gz)?") ? '\t' : ',';
    isGzipped = name.matches("(?i).*\\.gz");
    places =
        IntStream.range(0, fields.size())
            .filter(i -> fields.get(i).formats().contains(RowFormat.CSV))
            .boxed()
            .toList();
    isPerToken = places.stream().anyMatch(i -> fields.get(i).perToken());
    for (int i : places) {
      Field field = fields.get(i);
      int own = field.rank() - (field.perToken() ? 1 : 0);
      String deep = "%s: '%s' is a %s, which a table of text does not hold; write .parquet or .npz";
      boolean fits = own == 0 || own == 1 && field.width() > 0;
      require(fits, deep, target, field.name(), field.typeLabel());
    }
  }

  @Override
  public void part(Path file, List<Object[]> rows) throws IOException {
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      for (Object[] row : rows) {
        int lines = isPerToken ? ((NpyArray) row[ids]).size() : 1;
        for (int line = 0; line < lines; line++) {
          line(out, row, line);
        }
      }
    }
  }

  private void line(Writer out, Object[] row, int line) throws IOException {
    boolean isFirst = true;
    for (int i : places) {
      Field field = fields.get(i);
      if (field.type() == null) {
        out.append(isFirst ? "" : "" + comma).append(field(row[i]));
        isFirst = false;
      }
    }
    if (isPerToken) {
      int id = ((NpyArray) row[ids]).buffer().getInt(4 * line);
      out.append((isFirst ? "" : "" + comma) + line + comma);
      out.append(field(id < tokens.size() ? tokens.get(id) : ""));
      isFirst = false;
    }
    for (int i : places) {
      Field field = fields.get(i);
      if (field.type() != null) {
        int count = Math.max(1, field.width());
        int from = field.perToken() ? line * count : 0;
        numbers(out, (NpyArray) row[i], from, count, isFirst);
        isFirst = false;
      }
    }
    out.append('\n');
  }

  private void numbers(Writer out, NpyArray values, int from, int count, boolean isFirst)
      throws IOException {
    ByteBuffer all = values == null ? null : values.buffer();
    for (int at = from; at < from + count; at++) {
      out.append(isFirst && at == from ? "" : "" + comma);
      if (all != null) {
        out.append(text(values.type(), all, at));
      }
    }
  }

  private static String text(NpyType type, ByteBuffer all, int at) {
    return switch (type) {
      case FLOAT32 -> Float.toString(all.getFloat(4 * at));
      case FLOAT64 -> Double.toString(all.getDouble(8 * at));
      case INT64 -> Long.toString(all.getLong(8 * at));
      case INT32 -> Integer.toString(all.getInt(4 * at));
      case INT16 -> Short.toString(all.getShort(2 * at));
      case UINT16 -> Integer.toString(all.getShort(2 * at) & 0xffff);
      case UINT32 -> Integer.toUnsignedString(all.getInt(4 * at));
      case INT8 -> Byte.toString(all.get(at));
      case UINT8 -> Integer.toString(all.get(at) & 0xff);
      case BOOL -> all.get(at) == 0 ? "false" : "true";
      case STRING -> throw new IllegalStateException("texts are no numbers");
    };
  }

  private String field(Object value) {
    String text = value == null ? "" : value.toString();
    if (comma == ',') {
      return TableFile.field(text);
    }
    boolean fits = text.chars().noneMatch(c -> c == '\t' || c == '\n' || c == '\r');
    String wrong = "the text '%s' has tabs or line ends, which a .tsv does not hold; write .csv";
    require(fits, wrong, text.length() > 40 ? text.substring(0, 40) + "…" : text);
    return text;
  }

  private String header() {
    StringBuilder names = new StringBuilder();
    for (int i : places) {
      if (fields.get(i).type() == null) {
        names.append(comma).append(field(fields.get(i).label()));
      }
    }
    names.append(isPerToken ? comma + "position" + comma + "token" : "");
    for (int i : places) {
      Field field = fields.get(i);
      for (int c = 0; field.type() != null && c < Math.max(1, field.width()); c++) {
        names.append(comma).append(field(field.label() + (field.width() > 0 ? c : "")));
      }
    }
    return names.substring(1) + "\n";
  }

  @Override
  public void join(List<Path> parts, OutputStream out) throws IOException {
    OutputStream all = isGzipped ? new GZIPOutputStream(out, 1 << 16) : out;
    Writer header = new OutputStreamWriter(all, StandardCharsets.UTF_8);
    header.append(header()).flush();
    for (Path part : parts) {
      Files.copy(part, all);
    }
    if (all instanceof GZIPOutputStream gzip) {
      gzip.finish();
    }
  }
}
