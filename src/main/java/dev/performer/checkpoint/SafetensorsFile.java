package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;
import static java.util.Comparator.comparing;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * One {@code .safetensors} file: a length, the JSON of every tensor's type, shape and place, and
 * the data. Nothing is read before its place in the file is checked.
 *
 * @see <a href="https://github.com/huggingface/safetensors#format">the format</a>
 */
final class SafetensorsFile extends WeightFile {
  /** How the names of indices of several files end. */
  static final String INDEX_SUFFIX = ".safetensors.index.json";

  private static final int LENGTH_BYTES = 8;
  private static final long LONGEST_HEADER = 100_000_000; // as the format's own library
  private static final int MAX_RANK = 64;

  /** An entry as it stands in the file. */
  private record Written(
      String dtype, long[] shape, @JsonProperty("data_offsets") long[] dataOffsets) {}

  /** A tensor and its bytes from {@code begin} to {@code end} behind the header. */
  private record Entry(String name, ElementType type, long begin, long end) {}

  private final FileChannel channel;
  private final long dataStart;
  private final Map<String, Entry> entries = new HashMap<>();
  final Map<String, String> metadata = new TreeMap<>(); // free texts

  private SafetensorsFile(Path path, FileChannel channel) throws IOException {
    super(path, "safetensors", channel);
    this.channel = channel;
    long size = channel.size();
    require(size >= LENGTH_BYTES + 2, "%s: %s bytes are too few for safetensors", path, size);
    long length = read(channel, 0, LENGTH_BYTES).getLong();
    boolean isHeader = length >= 2 && length <= Math.min(size - LENGTH_BYTES, LONGEST_HEADER);
    String claims = "%s: the header claims %s bytes in a file of %s: damaged, or of other kind";
    require(isHeader, claims, path, Long.toUnsignedString(length), size);
    dataStart = LENGTH_BYTES + length;
    readHeader(read(channel, LENGTH_BYTES, (int) length).array());
    checkPlaces(size - dataStart);
  }

  /** Whether the file begins as a {@code .safetensors} does: a length, then a brace. */
  static boolean recognizes(Path file) {
    byte[] start = head(file, LENGTH_BYTES + 1);
    if (start.length <= LENGTH_BYTES || start[LENGTH_BYTES] != '{') {
      return false;
    }
    long length = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN).getLong();
    return length > 0 && length <= LONGEST_HEADER;
  }

  static SafetensorsFile open(Path file) {
    return open(file, channel -> new SafetensorsFile(file, channel));
  }

  private static ByteBuffer read(FileChannel channel, long position, int length)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    read(channel, position, buffer);
    return buffer.flip();
  }

  private void readHeader(byte[] json) {
    var factory = new JsonFactory().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
    try (JsonParser parser = factory.createParser(json)) {
      expect(parser.nextToken(), JsonToken.START_OBJECT, path() + ": the header");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        boolean isMetadata = name.equals("__metadata__");
        String where = isMetadata ? path() + ": " + name : where(name);
        expect(parser.nextToken(), JsonToken.START_OBJECT, where);
        if (isMetadata) {
          readMetadata(parser, where);
        } else {
          readEntry(name, StrictJson.bind(parser, Written.class, where), where);
        }
      }
      require(parser.nextToken() == null, "%s: more than one JSON value in the header", path());
    } catch (IOException e) {
      String wrong = ": the header is not the JSON of a safetensors file: ";
      throw new PerformerException(path() + wrong + StrictJson.reason(e), e);
    }
  }

  private static void expect(JsonToken found, JsonToken expected, String where) {
    String word = expected == JsonToken.START_OBJECT ? "an object" : "a text";
    require(found == expected, "%s: expected %s", where, word);
  }

  private void readMetadata(JsonParser parser, String where) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      expect(parser.nextToken(), JsonToken.VALUE_STRING, where + "." + Excerpt.of(key));
      metadata.put(key, parser.getText());
    }
  }

  private void readEntry(String name, Written written, String where) {
    long[] shape = written.shape();
    long[] offsets = written.dataOffsets();
    boolean isWhole =
        written.dtype() != null && shape != null && offsets != null && offsets.length == 2;
    require(isWhole, "%s: expected dtype, shape and two data_offsets", where);
    ElementType type = ElementType.ofSafetensors(written.dtype(), where);
    require(shape.length <= MAX_RANK, "%s: over %s dimensions", where, MAX_RANK);
    Info info = type.info(shape, where);
    long begin = offsets[0];
    long end = offsets[1];
    boolean fits = begin >= 0 && end >= begin && end - begin == info.bytes();
    String wrong = "%s: data_offsets %s to %s do not hold the %s bytes of its shape";
    require(fits, wrong, where, begin, end, info.bytes());
    entries.put(name, new Entry(name, type, begin, end));
    tensors.put(name, info);
  }

  /** The tensors must fill the data without gap or overlap. */
  private void checkPlaces(long dataBytes) {
    var inOrder = new ArrayList<>(entries.values());
    inOrder.sort(comparing(Entry::begin).thenComparing(Entry::end));
    String truncated = "%s ends at byte %s of the data, which has %s; the file is truncated";
    long place = 0;
    for (Entry e : inOrder) {
      String where = where(e.name);
      require(e.end <= dataBytes, truncated, where, e.end, dataBytes);
      String what = e.begin < place ? "overlaps the tensor before it" : "leaves a gap before it";
      require(e.begin == place, "%s %s: begins at byte %s, not %s", where, what, e.begin, place);
      place = e.end;
    }
    String wrong = "%s: the tensors end at byte %s of the data, which has %s";
    require(place == dataBytes, wrong, path(), place, dataBytes);
  }

  @Override
  NpyArray read(String name, Info info, String where) throws IOException {
    Entry entry = entries.get(name);
    byte[] elements = read(channel, dataStart + entry.begin(), (int) info.bytes()).array();
    return entry.type().array(elements, info.shape(), where);
  }

  /** Several files beside each other, and the index that tells what is in which. */
  static final class Sharded extends WeightFile {
    private final Map<String, SafetensorsFile> files = new HashMap<>();
    private final Map<String, SafetensorsFile> owners = new HashMap<>();

    private Sharded(Path path) {
      super(path, "safetensors", () -> {});
    }

    /** Opens all files of an index. */
    static Sharded open(Path index) {
      JsonNode map = StrictJson.readTree(index).path("weight_map");
      boolean isMap = map.isObject() && !map.isEmpty();
      require(isMap, "%s: expected a key weight_map that gives each tensor's file", index);
      var opened = new Sharded(index);
      try {
        map.properties().forEach(e -> opened.add(e.getKey(), e.getValue()));
        return opened;
      } catch (RuntimeException e) {
        opened.close();
        throw e;
      }
    }

    private void add(String tensor, JsonNode value) {
      String name = value.asText();
      boolean isName = value.isTextual() && name.matches("[\\w-][\\w.-]*");
      require(isName, "%s: expected the name of a file beside the index", where(tensor));
      SafetensorsFile file =
          files.computeIfAbsent(name, n -> SafetensorsFile.open(path().resolveSibling(n)));
      Info info = file.tensors().get(tensor);
      require(info != null, "%s: it is not in %s, as the index has it", where(tensor), file.path());
      owners.put(tensor, file);
      tensors.put(tensor, info);
    }

    @Override
    public String format() {
      return "safetensors in " + files.size() + (files.size() == 1 ? " file" : " files");
    }

    @Override
    NpyArray read(String name, Info info, String where) {
      return owners.get(name).read(name);
    }

    @Override
    public void close() {
      files.values().forEach(SafetensorsFile::close);
    }
  }
}
