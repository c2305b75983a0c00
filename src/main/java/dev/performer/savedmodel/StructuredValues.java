package dev.performer.savedmodel;

import dev.performer.graph.NodeBuilders;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.proto.Struct.NoneValue;
import org.tensorflow.proto.Struct.StructuredValue;

/** Python values as a SavedModel's object graph writes them down. */
final class StructuredValues {
  private static final StructuredValue NONE =
      StructuredValue.newBuilder().setNoneValue(NoneValue.getDefaultInstance()).build();

  private StructuredValues() {}

  static StructuredValue tuple(Collection<StructuredValue> values) {
    var value = StructuredValue.newBuilder();
    value.getTupleValueBuilder().addAllValues(values);
    return value.build();
  }

  private static StructuredValue list(Collection<String> strings) {
    var value = StructuredValue.newBuilder();
    var list = value.getListValueBuilder();
    strings.forEach(string -> list.addValuesBuilder().setStringValue(string));
    return value.build();
  }

  static StructuredValue dict(Map<String, StructuredValue> values) {
    var value = StructuredValue.newBuilder();
    value.getDictValueBuilder().putAllFields(values);
    return value.build();
  }

  static StructuredValue spec(ArgumentSpec spec) {
    var value = StructuredValue.newBuilder();
    var shape = NodeBuilders.shape(spec.shape());
    value
        .getTensorSpecValueBuilder()
        .setName(spec.name())
        .setShape(shape)
        .setDtype(spec.dataType());
    return value.build();
  }

  /** {@code inspect.FullArgSpec} of a function with these positional arguments and no others. */
  static StructuredValue fullArgSpec(List<String> arguments) {
    Map<String, StructuredValue> fields = new LinkedHashMap<>();
    fields.put("args", list(arguments));
    fields.put("varargs", NONE);
    fields.put("varkw", NONE);
    fields.put("defaults", NONE);
    fields.put("kwonlyargs", list(List.of()));
    fields.put("kwonlydefaults", NONE);
    fields.put("annotations", dict(Map.of()));
    var value = StructuredValue.newBuilder();
    var tuple = value.getNamedTupleValueBuilder().setName("FullArgSpec");
    fields.forEach((key, field) -> tuple.addValuesBuilder().setKey(key).setValue(field));
    return value.build();
  }
}
