package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import dev.performer.PerformerException;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;
import org.tensorflow.types.TFloat32;

/** Graphs that Python seldom writes but the format allows. */
class FunctionInlinerTest {
  private static final AttrValue FLOAT = AttrValue.newBuilder().setType(DataType.DT_FLOAT).build();

  private static NodeDef.Builder node(String name, String op, String... inputs) {
    return NodeDef.newBuilder().setName(name).setOp(op).addAllInput(List.of(inputs));
  }

  private static AttrValue placeholder(String name) {
    return AttrValue.newBuilder().setPlaceholder(name).build();
  }

  private static NodeDef constant(String name, float value) {
    return node(name, "Const")
        .putAttr("dtype", FLOAT)
        .putAttr(
            "value",
            AttrValue.newBuilder()
                .setTensor(
                    TensorProto.newBuilder()
                        .setDtype(DataType.DT_FLOAT)
                        .setTensorShape(TensorShapeProto.newBuilder())
                        .addFloatVal(value))
                .build())
        .build();
  }

  /** f(x: T) = x·x, with T open. */
  private static FunctionDef square(String name) {
    return FunctionDef.newBuilder()
        .setSignature(
            OpDef.newBuilder()
                .setName(name)
                .addInputArg(OpDef.ArgDef.newBuilder().setName("x").setTypeAttr("T"))
                .addOutputArg(OpDef.ArgDef.newBuilder().setName("y").setTypeAttr("T")))
        .addNodeDef(node("product", "Mul", "x", "x").putAttr("T", placeholder("T")))
        .putRet("y", "product:z:0")
        .build();
  }

  private static NodeDef call(String name, String function, String... inputs) {
    AttrValue types =
        AttrValue.newBuilder()
            .setList(
                AttrValue.ListValue.newBuilder()
                    .addAllType(Collections.nCopies(inputs.length, DataType.DT_FLOAT)))
            .build();
    AttrValue one =
        AttrValue.newBuilder()
            .setList(AttrValue.ListValue.newBuilder().addType(DataType.DT_FLOAT))
            .build();
    return node(name, "PartitionedCall", inputs)
        .putAttr("Tin", types)
        .putAttr("Tout", one)
        .putAttr(
            "f",
            AttrValue.newBuilder()
                .setFunc(NameAttrList.newBuilder().setName(function).putAttr("T", FLOAT))
                .build())
        .build();
  }

  private static float run(FlatGraph flat, String reference) {
    try (Graph graph = new Graph()) {
      graph.importGraphDef(flat.graph());
      String tensor = flat.resolve(reference);
      try (Session session = new Session(graph);
          Result result =
              session.runner().fetch(tensor.contains(":") ? tensor : tensor + ":0").run();
          TFloat32 value = (TFloat32) result.get(0)) {
        return value.getFloat();
      }
    }
  }

  @Test
  void fillsAttributesThatAFunctionLeavesToItsCaller() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    graph.getLibraryBuilder().addFunction(square("square"));
    graph.addNode(constant("x", 3)).addNode(call("nine", "square", "x"));
    FlatGraph flat = FunctionInliner.inline(graph.build(), List.of("nine"));
    assertThat(run(flat, "nine")).isEqualTo(9);
    assertThat(flat.graph().getLibrary().getFunctionCount()).isZero();
  }

  @Test
  void expandsFunctionsThatAreCalledLikeOps() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    graph.getLibraryBuilder().addFunction(square("square"));
    graph.addNode(constant("x", 3)).addNode(node("nine", "square", "x").putAttr("T", FLOAT));
    graph.addNode(node("eightyone", "square", "nine").putAttr("T", FLOAT));
    FlatGraph flat = FunctionInliner.inline(graph.build(), List.of("eightyone:0"));
    assertThat(run(flat, "eightyone:0")).isEqualTo(81);
    assertThat(flat.callOf(TensorNames.node(flat.resolve("eightyone")))).isPresent();
  }

  @Test
  void findsOtherNamesWhereTheMainGraphUsesThoseOfTheBody() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    graph.getLibraryBuilder().addFunction(square("square"));
    graph.addNode(constant("nine/product", 3)).addNode(call("nine", "square", "nine/product"));
    FlatGraph flat = FunctionInliner.inline(graph.build(), List.of("nine"));
    assertThat(run(flat, "nine")).isEqualTo(9);
  }

  @Test
  void runsTheSideEffectsOfACallThatIsOnlyWaitedFor() {
    FunctionDef failing =
        FunctionDef.newBuilder()
            .setSignature(
                OpDef.newBuilder()
                    .setName("count")
                    .addInputArg(
                        OpDef.ArgDef.newBuilder().setName("v").setType(DataType.DT_RESOURCE)))
            .addNodeDef(constant("one", 1))
            .addNodeDef(
                node("add", "AssignAddVariableOp", "v", "one:output:0").putAttr("dtype", FLOAT))
            .putControlRet("add", "add")
            .build();
    GraphDef.Builder graph = GraphDef.newBuilder();
    graph.getLibraryBuilder().addFunction(failing);
    AttrValue scalar = AttrValue.newBuilder().setShape(TensorShapeProto.newBuilder()).build();
    graph.addNode(
        node("v", "VarHandleOp")
            .putAttr("dtype", FLOAT)
            .putAttr("shape", scalar)
            .putAttr(
                "shared_name", AttrValue.newBuilder().setS(ByteString.copyFromUtf8("v")).build()));
    graph.addNode(constant("start", 5));
    graph.addNode(node("assign", "AssignVariableOp", "v", "start").putAttr("dtype", FLOAT));
    graph.addNode(node("call", "count", "v", "^assign"));
    graph.addNode(node("read", "ReadVariableOp", "v", "^call").putAttr("dtype", FLOAT));
    FlatGraph flat = FunctionInliner.inline(graph.build(), List.of("read"));
    assertThat(run(flat, "read")).isEqualTo(6);
  }

  @Test
  void dropsColocationWithNodesThatAreGone() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    FunctionDef.Builder square = square("square").toBuilder();
    square
        .getNodeDefBuilder(0)
        .setDevice("/device:TPU:0")
        .putAttr(
            "_class",
            AttrValue.newBuilder()
                .setList(
                    AttrValue.ListValue.newBuilder()
                        .addS(ByteString.copyFromUtf8("loc:@elsewhere")))
                .build());
    graph.getLibraryBuilder().addFunction(square);
    graph.addNode(constant("x", 3)).addNode(call("nine", "square", "x"));
    FlatGraph flat = FunctionInliner.inline(graph.build(), List.of("nine"));
    assertThat(run(flat, "nine")).isEqualTo(9);
  }

  @Test
  void refusesRecursionThroughBranches() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    FunctionDef.Builder loop = square("loop").toBuilder();
    loop.addNodeDef(
        node("if", "StatelessIf")
            .putAttr(
                "then_branch",
                AttrValue.newBuilder().setFunc(NameAttrList.newBuilder().setName("loop")).build()));
    graph.getLibraryBuilder().addFunction(loop).addFunction(square("fine"));
    graph.addNode(constant("x", 1));
    assertThatThrownBy(() -> FunctionInliner.inline(graph.build(), List.of("x")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("recursive functions")
        .hasMessageEndingWith("loop");
  }

  @Test
  void refusesGraphsThatExplode() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    graph.getLibraryBuilder().addFunction(square("f0"));
    for (int i = 1; i <= 40; i++) { // 2^40 calls of f0
      String inner = "f" + (i - 1);
      FunctionDef.Builder twice = square("f" + i).toBuilder().clearNodeDef();
      twice.addNodeDef(call("a", inner, "x")).addNodeDef(call("b", inner, "a:output:0"));
      graph.getLibraryBuilder().addFunction(twice.putRet("y", "b:output:0"));
    }
    graph.addNode(constant("x", 1)).addNode(call("y", "f40", "x"));
    assertThatThrownBy(() -> FunctionInliner.inline(graph.build(), List.of("y")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("nodes once its functions are expanded");
  }

  @Test
  void refusesCallsThatFeedThemselves() {
    GraphDef.Builder graph = GraphDef.newBuilder();
    FunctionDef same = square("same").toBuilder().clearNodeDef().putRet("y", "x").build();
    graph.getLibraryBuilder().addFunction(same);
    graph.addNode(call("y", "same", "y"));
    assertThatThrownBy(() -> FunctionInliner.inline(graph.build(), List.of("y")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("points to no tensor or to itself");
  }
}
