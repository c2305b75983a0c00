package dev.performer.data;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;

/**
 * Decodes {@code tf.train.Example}, named lists of bytes, floats or integers, from its wire format.
 * Unknown fields are passed over, and of repeated entries the last holds, as protobuf has it.
 */
final class TfExample {
  private static final int FEATURES = 1;
  private static final int ENTRY = 1;
  private static final int KEY = 1;
  private static final int FEATURE = 2;
  private static final int BYTES = 1;
  private static final int FLOATS = 2;
  private static final int INTEGERS = 3;
  private static final int VALUE = 1;

  /**
   * One feature's values; at most one list holds something.
   *
   * @param bytes texts, mostly
   */
  record Feature(List<ByteString> bytes, double[] floats, long[] integers) {
    static final Feature NOTHING = new Feature(List.of(), new double[0], new long[0]);

    /** What it holds, for a message. */
    String kind() {
      return !bytes.isEmpty()
          ? "bytes"
          : floats.length > 0 ? "floats" : integers.length > 0 ? "integers" : "nothing";
    }
  }

  private interface Field {
    /** Reads the field of this tag, or says that it is another's. */
    boolean read(CodedInputStream in, int tag) throws IOException;
  }

  private TfExample() {}

  /**
   * The features by name.
   *
   * @throws IOException if the bytes are no such message
   */
  static Map<String, Feature> parse(byte[] data) throws IOException {
    Map<String, Feature> features = new LinkedHashMap<>();
    parse(
        CodedInputStream.newInstance(data),
        (in, tag) ->
            tag == message(FEATURES) && parse(inner(in), (all, t) -> entry(all, t, features)));
    return features;
  }

  private static boolean entry(CodedInputStream in, int tag, Map<String, Feature> features)
      throws IOException {
    if (tag != message(ENTRY)) {
      return false;
    }
    String[] name = {""};
    Feature[] feature = {Feature.NOTHING};
    parse(
        inner(in),
        (entry, t) -> {
          if (t == message(KEY)) {
            name[0] = entry.readStringRequireUtf8();
          } else if (t == message(FEATURE)) {
            feature[0] = feature(inner(entry));
          } else {
            return false;
          }
          return true;
        });
    features.put(name[0], feature[0]);
    return true;
  }

  private static Feature feature(CodedInputStream in) throws IOException {
    List<ByteString> bytes = new ArrayList<>();
    DoubleStream.Builder floats = DoubleStream.builder();
    LongStream.Builder integers = LongStream.builder();
    parse(
        in,
        (list, tag) -> {
          if (tag == message(BYTES)) {
            return parse(inner(list), (l, t) -> t == message(VALUE) && bytes.add(l.readBytes()));
          } else if (tag == message(FLOATS)) {
            return parse(inner(list), (l, t) -> floats(l, t, floats));
          }
          return tag == message(INTEGERS) && parse(inner(list), (l, t) -> integers(l, t, integers));
        });
    return new Feature(bytes, floats.build().toArray(), integers.build().toArray());
  }

  private static boolean floats(CodedInputStream in, int tag, DoubleStream.Builder values)
      throws IOException {
    if (tag == message(VALUE)) { // packed
      CodedInputStream packed = inner(in);
      while (!packed.isAtEnd()) {
        values.add(packed.readFloat());
      }
      return true;
    }
    boolean single = tag == (VALUE << 3 | WireFormat.WIRETYPE_FIXED32);
    if (single) {
      values.add(in.readFloat());
    }
    return single;
  }

  private static boolean integers(CodedInputStream in, int tag, LongStream.Builder values)
      throws IOException {
    if (tag == message(VALUE)) { // packed
      CodedInputStream packed = inner(in);
      while (!packed.isAtEnd()) {
        values.add(packed.readInt64());
      }
      return true;
    }
    boolean single = tag == (VALUE << 3 | WireFormat.WIRETYPE_VARINT);
    if (single) {
      values.add(in.readInt64());
    }
    return single;
  }

  private static boolean parse(CodedInputStream in, Field field) throws IOException {
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      if (!field.read(in, tag)) {
        in.skipField(tag);
      }
    }
    return true;
  }

  private static CodedInputStream inner(CodedInputStream in) throws IOException {
    return in.readBytes().newCodedInput();
  }

  private static int message(int number) {
    return number << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;
  }
}
