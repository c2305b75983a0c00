package dev.performer.savedmodel;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/** A SavedModel without variables, node by node: {@code x} float32 [?] to {@code y}. */
final class MadeGraph {
  private final GraphDef.Builder graph = GraphDef.newBuilder();
  private String output = "y:0";

  MadeGraph() {
    graph.getVersionsBuilder().setProducer(1882);
    add(
        node("x", "Placeholder")
            .putAttr("dtype", type(DataType.DT_FLOAT))
            .putAttr("shape", AttrValue.newBuilder().setShape(shape(-1)).build())
            .build());
  }

  MadeGraph add(NodeDef node) {
    graph.addNode(node);
    return this;
  }

  MadeGraph add(FunctionDef function) {
    graph.getLibraryBuilder().addFunction(function);
    return this;
  }

  /** Which tensor the signature calls y. */
  MadeGraph output(String tensor) {
    output = tensor;
    return this;
  }

  Path write(Path directory) {
    TensorInfo.Builder info =
        TensorInfo.newBuilder().setDtype(DataType.DT_FLOAT).setTensorShape(shape(-1));
    MetaGraphDef.Builder meta = MetaGraphDef.newBuilder().setGraphDef(graph);
    meta.getMetaInfoDefBuilder().addTags("serve");
    meta.putSignatureDef(
        "serving_default",
        SignatureDef.newBuilder()
            .setMethodName("tensorflow/serving/predict")
            .putInputs("x", info.setName("x:0").build())
            .putOutputs("y", info.setName(output).build())
            .build());
    try {
      Files.createDirectories(directory);
      Files.write(
          directory.resolve("saved_model.pb"),
          SavedModel.newBuilder()
              .setSavedModelSchemaVersion(1)
              .addMetaGraphs(meta)
              .build()
              .toByteArray());
      return directory;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static NodeDef.Builder node(String name, String op, String... inputs) {
    return NodeDef.newBuilder().setName(name).setOp(op).addAllInput(List.of(inputs));
  }

  /** A node of float32. */
  static NodeDef floats(String name, String op, String... inputs) {
    return node(name, op, inputs).putAttr("T", type(DataType.DT_FLOAT)).build();
  }

  /** A constant that repeats one value. */
  static NodeDef constant(String name, TensorProto.Builder value) {
    return node(name, "Const")
        .putAttr("dtype", type(value.getDtype()))
        .putAttr("value", AttrValue.newBuilder().setTensor(value).build())
        .build();
  }

  static TensorProto.Builder repeated(float value, long... shape) {
    return TensorProto.newBuilder()
        .setDtype(DataType.DT_FLOAT)
        .setTensorShape(shape(shape))
        .addFloatVal(value);
  }

  /** A function of one float32 tensor, {@code a}. */
  static FunctionDef function(String name, DataType returned, String result, NodeDef... body) {
    return FunctionDef.newBuilder()
        .setSignature(
            OpDef.newBuilder()
                .setName(name)
                .addInputArg(ArgDef.newBuilder().setName("a").setType(DataType.DT_FLOAT))
                .addOutputArg(ArgDef.newBuilder().setName("r").setType(returned)))
        .addAllNodeDef(List.of(body))
        .putRet("r", result)
        .build();
  }

  static NodeDef call(String name, String function, String input) {
    return node(name, "StatefulPartitionedCall", input)
        .putAttr("f", function(function))
        .putAttr("Tin", types(DataType.DT_FLOAT))
        .putAttr("Tout", types(DataType.DT_FLOAT))
        .build();
  }

  static NodeDef loop(String name, String op, String input, String condition, String body) {
    return node(name, op, input)
        .putAttr("T", types(DataType.DT_FLOAT))
        .putAttr("cond", function(condition))
        .putAttr("body", function(body))
        .build();
  }

  static AttrValue type(DataType type) {
    return AttrValue.newBuilder().setType(type).build();
  }

  private static AttrValue types(DataType type) {
    return AttrValue.newBuilder().setList(AttrValue.ListValue.newBuilder().addType(type)).build();
  }

  private static AttrValue function(String name) {
    return AttrValue.newBuilder().setFunc(NameAttrList.newBuilder().setName(name)).build();
  }

  static TensorShapeProto shape(long... sizes) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (long size : sizes) {
      shape.addDimBuilder().setSize(size);
    }
    return shape.build();
  }
}
