package dev.performer.graph;

import java.util.Arrays;
import java.util.List;
import org.tensorflow.Output;
import org.tensorflow.proto.DataType;

/**
 * Gradients of ops on tensor lists, as Python has them: the gradient of a list is a list of as many
 * gradients.
 */
final class TensorListGradients {
  private TensorListGradients() {}

  static void register(GradientRules rules) {
    rules.all(TensorListGradients::getItem, "TensorListGetItem");
    rules.all(TensorListGradients::setItem, "TensorListSetItem");
    rules.all(TensorListGradients::pushBack, "TensorListPushBack");
    rules.all(TensorListGradients::popBack, "TensorListPopBack");
    rules.all(TensorListGradients::stack, "TensorListStack");
    rules.all(TensorListGradients::fromTensor, "TensorListFromTensor");
    rules.all(TensorListGradients::resize, "TensorListResize");
    rules.all(TensorListGradients::gather, "TensorListGather");
    rules.all(TensorListGradients::scatter, "TensorListScatter", "TensorListScatterV2");
    rules.all(TensorListGradients::scatterIntoExisting, "TensorListScatterIntoExistingList");
    rules.all(TensorListGradients::concat, "TensorListConcat", "TensorListConcatV2");
    rules.all(TensorListGradients::split, "TensorListSplit");
    rules.all(TensorListGradients::concatLists, "TensorListConcatLists");
  }

  /** A list of one gradient at the index that was read. */
  static List<Output<?>> getItem(NodeGradient of) {
    Output<?> none = like(of, of.x);
    return List.of(of.op("TensorListSetItem", none, of.y, of.dy));
  }

  static List<Output<?>> setItem(NodeGradient of) {
    Output<?> item = of.input(2);
    Output<?> rest = of.op("TensorListSetItem", of.dy, of.y, of.zeros(2));
    if (of.flag("resize_if_index_out_of_bounds")) {
      rest = of.op("TensorListResize", rest, of.op("TensorListLength", of.x));
    }
    Output<?> ofItem = elements(of, "TensorListGetItem", item, of.dy, of.y, of.op("Shape", item));
    return Arrays.asList(rest, null, ofItem);
  }

  static List<Output<?>> pushBack(NodeGradient of) {
    var pop = of.builder("TensorListPopBack", of.dy, of.op("Shape", of.y));
    var popped = pop.setAttr("element_dtype", of.y.dataType()).build();
    return List.of(popped.output(0), popped.output(1));
  }

  static List<Output<?>> popBack(NodeGradient of) {
    Output<?> list = of.gradientOrZeros(0);
    return List.of(of.op("TensorListPushBack", list, of.gradientOrZeros(1)));
  }

  static List<Output<?>> stack(NodeGradient of) {
    return List.of(of.op("TensorListFromTensor", of.dy, rowShape(of, of.dy)));
  }

  static List<Output<?>> fromTensor(NodeGradient of) {
    return List.of(elements(of, "TensorListStack", of.x, of.dy, rowShape(of, of.x)));
  }

  static List<Output<?>> resize(NodeGradient of) {
    return List.of(of.op("TensorListResize", of.dy, of.op("TensorListLength", of.x)));
  }

  static List<Output<?>> gather(NodeGradient of) {
    Output<?> none = like(of, of.x);
    return List.of(of.op("TensorListScatterIntoExistingList", none, of.dy, of.y));
  }

  static List<Output<?>> scatter(NodeGradient of) {
    return List.of(elements(of, "TensorListGather", of.x, of.dy, of.y, rowShape(of, of.x)));
  }

  static List<Output<?>> scatterIntoExisting(NodeGradient of) {
    Output<?> indices = of.input(2);
    Output<?> rest = of.op("TensorListScatterIntoExistingList", of.dy, of.zeros(1), indices);
    Output<?> row = rowShape(of, of.y);
    return List.of(rest, elements(of, "TensorListGather", of.y, of.dy, indices, row));
  }

  /** The second output, the lengths, is where the parts begin and end. */
  static List<Output<?>> concat(NodeGradient of) {
    return List.of(of.op("TensorListSplit", of.dy, elementShape(of, of.x), of.output(1)));
  }

  static List<Output<?>> split(NodeGradient of) {
    Output<?> shape = of.concat(of.ints(-1), rowShape(of, of.x));
    return List.of(elements(of, "TensorListConcatV2", of.x, of.dy, shape, of.input(2)));
  }

  /** Of two lists one after the other: the gradient is cut where the second begins. */
  static List<Output<?>> concatLists(NodeGradient of) {
    Output<?> first = of.op("TensorListLength", of.x);
    Output<?> all = of.op("TensorListLength", of.dy);
    return List.of(some(of, of.range(first)), some(of, of.op("Range", first, all, of.integer(1))));
  }

  private static Output<?> some(NodeGradient of, Output<?> indices) {
    DataType type = of.type("element_dtype");
    Output<?> shape = elementShape(of, of.dy);
    Output<?> rows =
        of.op("TensorListGather", b -> b.setAttr("element_dtype", type), of.dy, indices, shape);
    return of.op("TensorListFromTensor", rows, shape);
  }

  /** A list as long, without elements: they count as zeros. */
  private static Output<?> like(NodeGradient of, Output<?> list) {
    DataType type = of.type("element_dtype");
    Output<?> length = of.op("TensorListLength", list);
    Output<?> shape = elementShape(of, list);
    return of.op("TensorListReserve", b -> b.setAttr("element_dtype", type), shape, length);
  }

  private static Output<?> elements(
      NodeGradient of, String type, Output<?> like, Output<?>... inputs) {
    return of.op(type, b -> b.setAttr("element_dtype", like.dataType()), inputs);
  }

  private static Output<?> elementShape(NodeGradient of, Output<?> list) {
    return of.op("TensorListElementShape", b -> b.setAttr("shape_type", DataType.DT_INT32), list);
  }

  private static Output<?> rowShape(NodeGradient of, Output<?> tensor) {
    return of.op("Slice", of.op("Shape", tensor), of.ints(1), of.ints(-1));
  }
}
